/** What is known of a place that was clicked: score, phrases, imagery, and how the score changes with the time. */

import type { Atlas, PlaceDescription, Question, Series } from "./api";
import { describePlace, followPlace } from "./api";
import { drawSeries } from "./chart";
import { create, element, formatScore } from "./elements";
import type { State } from "./state";

const IMAGERY_ZOOM = 14;

export async function showPlace(atlas: Atlas, question: Question, state: State, lon: number, lat: number): Promise<void> {
  const panel = element("place");
  panel.hidden = false;
  panel.setAttribute("aria-busy", "true");
  panel.replaceChildren(create("p", "Looking …", "quiet"));
  try {
    const described = await describePlace(question, lon, lat);
    panel.replaceChildren(...describe(atlas, described, state));
    if (atlas.knows_time && described.score !== null) await addSeries(panel, question, state, lon, lat);
  } catch (error) {
    panel.replaceChildren(create("p", (error as Error).message, "problem"));
  } finally {
    panel.removeAttribute("aria-busy");
  }
}

function describe(atlas: Atlas, place: PlaceDescription, state: State): HTMLElement[] {
  const parts: HTMLElement[] = [create("h2", `${place.lat.toFixed(4)}, ${place.lon.toFixed(4)}`)];
  if (place.score === null) return [...parts, create("p", "There is no imagery here, so there is no score.")];
  const facts = create("dl");
  const add = (name: string, value: string) => facts.append(create("dt", name), create("dd", value));
  add("score", formatScore(place.score, state.scale));
  if (place.percentile !== null) add("higher than", `${place.percentile.toFixed(0)} % of the region`);
  if (place.chance !== null && state.scale !== "contrast") add("chance", formatScore(place.chance, "contrast"));
  parts.push(facts);
  if (place.phrases.length) {
    const phrases = create("ul", "", "phrases");
    for (const phrase of place.phrases) phrases.append(create("li", phrase.text));
    parts.push(create("h3", "A photo here would be nearest to"), phrases);
  }
  parts.push(imageryOf(atlas, place));
  return parts;
}

/** The tile of imagery around the place; hidden where the imagery cannot be read. */
function imageryOf(atlas: Atlas, place: PlaceDescription): HTMLImageElement {
  const tiles = 2 ** IMAGERY_ZOOM;
  const x = Math.floor((place.lon / 360 + 0.5) * tiles);
  const sine = Math.sin((place.lat * Math.PI) / 180);
  const y = Math.floor((0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI)) * tiles);
  const picture = create("img");
  picture.src = `./api/atlases/${encodeURIComponent(atlas.id)}/imagery/${IMAGERY_ZOOM}/${x}/${y}.webp`;
  picture.alt = "The overhead imagery around this place";
  picture.addEventListener("error", () => picture.remove());
  return picture;
}

async function addSeries(panel: HTMLElement, question: Question, state: State, lon: number, lat: number): Promise<void> {
  const months = "JFMAMJJASOND".split("");
  const hours = [...Array(24).keys()].map((hour) => (hour % 6 === 0 ? String(hour) : ""));
  const kinds = [
    ["through the year", "months", months, state.month - 1],
    ["through the day", "hours", hours, state.hour],
  ] as const;
  for (const [label, over, marks, current] of kinds) {
    const series: Series = await followPlace(question, lon, lat, over);
    panel.append(create("h3", label), drawSeries(label, series.scores, [...marks], current));
  }
}
