/** The best places, as a list and as markers. */

import { Marker } from "maplibre-gl";
import { findPlaces } from "./api";
import { create, createButton, element, formatScore } from "./elements";
import type { Page } from "./page";

const TOP = 10;
const CLOSE_ZOOM = 12;

export class BestPlaces {
  private markers: Marker[] = [];
  private requestCount = 0;

  constructor(private readonly page: Page) {
    element("within").addEventListener("change", (event) => {
      page.state.within = (event.target as HTMLInputElement).checked;
      page.write();
      page.commit();
      void this.refresh();
    });
  }

  /** Ask for the places of the question, if their list is open; otherwise take the markers away. */
  async refresh(): Promise<void> {
    const ticket = ++this.requestCount;
    if (this.page.state.panel !== "places") return this.clear();
    const question = this.page.question();
    const list = element("places-list");
    if (!question) {
      this.clear();
      return list.replaceChildren(create("li", "Type a prompt, and its ten best places are listed here.", "quiet"));
    }
    const zones = this.page.zones;
    element("within-row").hidden = zones === null;
    element<HTMLInputElement>("within").checked = this.page.state.within;
    if (!list.querySelector("button")) list.replaceChildren(create("li", "Searching …", "quiet"));
    try {
      const places = await findPlaces(question, TOP, this.page.state.within ? zones : null);
      if (ticket !== this.requestCount) return;
      this.clear();
      if (!places.features.length) return list.replaceChildren(create("li", "No cell with data lies in these areas.", "quiet"));
      const best = Number(places.features[0]?.properties?.["score"] ?? 0);
      list.replaceChildren(...places.features.map((place, index) => this.entry(place, index + 1, best)));
    } catch (error) {
      if (ticket === this.requestCount) list.replaceChildren(create("li", (error as Error).message, "problem"));
    }
  }

  private entry(place: GeoJSON.Feature<GeoJSON.Point>, rank: number, best: number): HTMLLIElement {
    const [lon, lat] = place.geometry.coordinates as [number, number];
    const score = Number(place.properties?.["score"]);
    const text = formatScore(score, this.page.state.scale);
    const button = createButton("", () => {
      this.page.map.flyTo({ center: [lon, lat], zoom: Math.max(this.page.map.getZoom(), CLOSE_ZOOM) });
    });
    button.title = `${lat.toFixed(4)}, ${lon.toFixed(4)}`;
    const meter = create("meter");
    meter.setAttribute("aria-hidden", "true"); // the number beside it says the same
    meter.max = 1;
    meter.value = best > 0 ? Math.max(0, score / best) : 0;
    button.append(create("b", String(rank)), meter, create("span", text));
    const pin = create("div", String(rank), "pin");
    pin.setAttribute("aria-hidden", "true");
    this.markers.push(new Marker({ element: pin, anchor: "bottom" }).setLngLat([lon, lat]).addTo(this.page.map));
    const item = create("li");
    item.append(button);
    return item;
  }

  private clear(): void {
    for (const marker of this.markers) marker.remove();
    this.markers = [];
  }
}
