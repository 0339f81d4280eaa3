/** Areas that are drawn or come from a file: statistics, and their mean as colours. */

import type { GeoJSONSource, Map as MapLibreMap, MapMouseEvent } from "maplibre-gl";
import type { Question } from "./api";
import { summariseZones } from "./api";
import { create, element, formatScore } from "./elements";

const MAX_FILE_BYTES = 20 * 2 ** 20;
const LISTED = 20;

export class Areas {
  private vertices: [number, number][] = [];
  private zones: unknown = null;

  constructor(
    private readonly map: MapLibreMap,
    private readonly question: () => Question | null,
  ) {
    map.addSource("areas", { type: "geojson", data: { type: "FeatureCollection", features: [] } });
    map.addLayer({ id: "areas", type: "line", source: "areas", paint: { "line-color": "#00b7ff", "line-width": 2 } });
    map.on("click", (event) => this.addVertex(event));
    map.on("dblclick", (event) => {
      if (!this.isDrawing) return;
      event.preventDefault();
      void this.finish();
    });
  }

  get isDrawing(): boolean {
    return element("draw").getAttribute("aria-pressed") === "true";
  }

  toggleDrawing(): void {
    const drawing = !this.isDrawing;
    element("draw").setAttribute("aria-pressed", String(drawing));
    if (drawing) {
      this.vertices = [];
      this.show([]);
      this.say("Click the corners of the area; press “Draw an area” again, or double-click, to finish.");
    } else {
      void this.finish();
    }
  }

  async readFile(file: File): Promise<void> {
    if (file.size > MAX_FILE_BYTES) return this.say("This file is larger than 20 MB; simplify its areas.");
    try {
      this.zones = JSON.parse(await file.text());
    } catch {
      return this.say("This file is not GeoJSON; export the areas as GeoJSON in longitude and latitude.");
    }
    await this.summarise();
  }

  /** Ask for the statistics of the areas at hand again, since the question has changed. */
  async summarise(): Promise<void> {
    const question = this.question();
    if (!this.zones || !question) return;
    try {
      const answer = await summariseZones(question, this.zones);
      this.show(answer.features);
      this.list(answer.features, question.scale);
    } catch (error) {
      this.say((error as Error).message);
    }
  }

  private addVertex(event: MapMouseEvent): void {
    if (!this.isDrawing) return;
    this.vertices.push([event.lngLat.lng, event.lngLat.lat]);
    this.show([{ type: "Feature", properties: {}, geometry: { type: "LineString", coordinates: this.vertices } }]);
  }

  private async finish(): Promise<void> {
    element("draw").setAttribute("aria-pressed", "false");
    if (this.vertices.length < 3) return this.say("An area needs three corners.");
    const ring = [...this.vertices, this.vertices[0]!];
    this.zones = { type: "Feature", properties: {}, geometry: { type: "Polygon", coordinates: [ring] } };
    await this.summarise();
  }

  private show(features: GeoJSON.Feature[]): void {
    void (this.map.getSource("areas") as GeoJSONSource).setData({ type: "FeatureCollection", features });
  }

  private list(features: GeoJSON.Feature[], scale: string): void {
    const rows = features
      .map((feature, index) => ({
        name: String(feature.properties?.["name"] ?? `area ${index + 1}`),
        mean: (feature.properties?.["mean"] ?? null) as number | null,
        covered: (feature.properties?.["covered_share"] ?? 0) as number,
      }))
      .sort((a, b) => (b.mean ?? -Infinity) - (a.mean ?? -Infinity));
    const table = create("table");
    const head = create("tr");
    for (const name of ["area", "mean", "covered"]) head.append(create("th", name));
    table.append(head);
    for (const row of rows.slice(0, LISTED)) {
      const line = create("tr");
      for (const text of [row.name, formatScore(row.mean, scale), `${Math.round(row.covered * 100)} %`]) {
        line.append(create("td", text));
      }
      table.append(line);
    }
    const zones = element("zones");
    zones.hidden = false;
    zones.replaceChildren(table);
    if (rows.length > LISTED) zones.append(create("p", `and ${rows.length - LISTED} more`, "quiet"));
  }

  private say(sentence: string): void {
    const zones = element("zones");
    zones.hidden = false;
    zones.replaceChildren(create("p", sentence));
  }
}
