/** What is known of a place that was clicked: score, caption, phrases, imagery, and how the score changes with the time. */

import { Marker } from "maplibre-gl";
import type { PlaceDescription, Question } from "./api";
import { atlasAddress, captionPlace, describePlace, followPlace, request } from "./api";
import { drawSeries } from "./chart";
import { create, createButton, element, formatDifference, formatScore, showPicture } from "./elements";
import { placePrompt } from "./examples";
import type { Page } from "./page";
import { isDifference } from "./questions";

const IMAGERY_ZOOM = 14;
/** Differences that fill a chart at least: smaller ones are no news. */
const LEAST_CHANCE = 0.05;
const LEAST_COSINE = 0.005;
const HOURS = [...Array(24).keys()].map((hour) => (hour % 6 === 0 ? String(hour) : ""));

export class PlacePanel {
  private pending = new AbortController();
  private marker: Marker | null = null;

  constructor(private readonly page: Page) {}

  /** Describe the place of the state, if its panel is open. */
  async refresh(): Promise<void> {
    this.pending.abort();
    this.marker?.remove();
    const { place, panel: open } = this.page.state;
    if (open !== "place" || !place) return;
    const [lon, lat] = place;
    const pin = create("div", "", "spot");
    this.marker = new Marker({ element: pin }).setLngLat([lon, lat]).addTo(this.page.map);
    element("panel-title").textContent = positionText(lon, lat);
    const panel = element("place");
    const question = this.page.question();
    if (!question) return panel.replaceChildren(create("p", "Type a prompt to learn how well this place fits.", "quiet"));
    this.pending = new AbortController();
    await this.describe(panel, question, lon, lat, this.pending.signal);
  }

  private async describe(panel: HTMLElement, question: Question, lon: number, lat: number, signal: AbortSignal): Promise<void> {
    panel.setAttribute("aria-busy", "true");
    if (!panel.hasChildNodes()) panel.append(create("p", "Looking …", "quiet"));
    try {
      const place = await describePlace(question, lon, lat, signal);
      panel.replaceChildren(...this.facts(place, question));
      if (place.score === null) return;
      await Promise.all([this.addSeries(panel, question, lon, lat, signal), this.addPicture(panel, lon, lat, signal)]);
    } catch (error) {
      if ((error as Error).name !== "AbortError") panel.replaceChildren(create("p", (error as Error).message, "problem"));
    } finally {
      if (!signal.aborted) panel.removeAttribute("aria-busy");
    }
  }

  private facts(place: PlaceDescription, question: Question): HTMLElement[] {
    if (place.score === null) return [create("p", "There is no imagery here, so there is no score.")];
    const { scale } = question;
    const facts = create("dl");
    const add = (name: string, value: string) => facts.append(create("dt", name), create("dd", value));
    if (isDifference(question)) add("difference", formatDifference(place.score, scale));
    else add(scale === "contrast" ? "chance" : "score", formatScore(place.score, scale));
    if (place.percentile !== null) add("higher than", rankOf(place.percentile));
    if (place.chance !== null && scale !== "contrast") add("chance", formatScore(place.chance, "contrast"));
    const parts: HTMLElement[] = [facts, this.likeThis(place)];
    if (this.page.atlas?.captions) parts.push(this.caption(place, question));
    if (place.phrases.length) {
      const phrases = create("ul", "", "phrases");
      for (const phrase of place.phrases) phrases.append(create("li", phrase.text));
      parts.push(create("h3", "A photo taken here would most resemble"), phrases);
    }
    for (const id of ["place-charts", "place-picture"]) {
      const room = create("div");
      room.id = id;
      parts.push(room);
    }
    return parts;
  }

  /** A button that asks for places that look like this one. */
  private likeThis(place: PlaceDescription): HTMLElement {
    const row = create("div", "", "row");
    const button = createButton("More places like this", () => this.page.choosePrompt(placePrompt(place.lon, place.lat)));
    button.id = "like-this";
    row.append(button);
    return row;
  }

  /** The sentence that the server's language model writes; it comes when it is written. */
  private caption(place: PlaceDescription, question: Question): HTMLElement {
    const sentence = create("p", "Writing a caption …", "caption quiet");
    sentence.id = "place-caption";
    captionPlace(question, place.lon, place.lat, this.pending.signal).then(
      (text) => {
        sentence.textContent = text === null ? "" : `“${text}”`;
        sentence.className = "caption";
      },
      (error: Error) => {
        if (error.name !== "AbortError") sentence.textContent = error.message;
      },
    );
    return sentence;
  }

  private async addSeries(panel: HTMLElement, question: Question, lon: number, lat: number, signal: AbortSignal): Promise<void> {
    const { atlas, state } = this.page;
    if (!atlas?.knows_time) return;
    const room = panel.querySelector("#place-charts");
    const format = (score: number) => formatScore(score, state.scale === "percentile" ? "cosine" : state.scale);
    const least = state.scale === "contrast" ? LEAST_CHANCE : LEAST_COSINE;
    const charts = [
      ["Through the year", "months", [..."JFMAMJJASOND"], state.month - 1],
      ["Through the day", "hours", HOURS, state.hour],
    ] as const;
    const rooms = charts.map(() => create("div", "Computing …", "quiet"));
    charts.forEach(([label], index) => room?.append(create("h3", label), rooms[index]!));
    for (const [index, [label, over, marks, current]] of charts.entries()) {
      const { scores } = await followPlace(question, lon, lat, over, signal);
      rooms[index]!.replaceChildren(drawSeries(label, scores, [...marks], state.month ? current : -1, format, least));
    }
  }

  /** Show the tile of imagery around the place; nothing where the imagery cannot be read. */
  private async addPicture(panel: HTMLElement, lon: number, lat: number, signal: AbortSignal): Promise<void> {
    const tiles = 2 ** IMAGERY_ZOOM;
    const x = Math.floor((lon / 360 + 0.5) * tiles);
    const sine = Math.sin((lat * Math.PI) / 180);
    const y = Math.floor((0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI)) * tiles);
    const address = atlasAddress(this.page.state.atlas, `imagery/${IMAGERY_ZOOM}/${x}/${y}.webp`);
    const response = await request(address, { signal }).catch((error: Error) => {
      if (error.name === "AbortError") throw error;
      return null;
    });
    if (response?.status !== 200) return;
    const picture = create("img");
    picture.alt = "The overhead imagery around this place";
    await showPicture(picture, response);
    panel.querySelector("#place-picture")?.replaceChildren(picture);
  }
}

/** A place as people write it: `52.3728° N, 4.8936° E`. */
function positionText(lon: number, lat: number): string {
  return `${Math.abs(lat).toFixed(4)}° ${lat < 0 ? "S" : "N"}, ${Math.abs(lon).toFixed(4)}° ${lon < 0 ? "W" : "E"}`;
}

/** How much of the region scores lower, which is never all of it. */
function rankOf(percentile: number): string {
  if (percentile >= 100) return "all else in the region";
  const digits = percentile > 99 || percentile < 1 ? 1 : 0;
  return `${Math.min(percentile, 99.9).toFixed(digits)} % of the region`;
}
