/** Areas that are drawn or come from a file: their means, as a table and as colours on the map. */

import type { ExpressionSpecification, GeoJSONSource, LngLat, Map as MapLibreMap } from "maplibre-gl";
import { LngLatBounds, Popup } from "maplibre-gl";
import { summariseZones } from "./api";
import { listAreas, nameOf, withoutAreas } from "./areaTable";
import { colourAt, colourName, colourTable } from "./colours";
import { element, formatScore, onClick } from "./elements";
import type { Page } from "./page";

const MAX_FILE_BYTES = 20 * 2 ** 20;
const STORED = "sat2cap-areas";
const STORED_LETTERS = 2 ** 20;
const COLOUR_STEPS = 16;
const NO_DATA = "#8a8f98";

const HINT = "Draw an area, or open a GeoJSON file of areas. For each of them you see the mean of the map.";
const FINISH = "choose “Finish the area”";
const DRAWING = `Click the corners on the map, then ${FINISH}, double-click or press Enter. Escape cancels.`;
const DRAWING_BY_TOUCH = `Tap the corners on the map, then ${FINISH}.`;
const COMPUTING = "Computing the means …";
/** How long areas keep the colours of the question before: a quick answer then changes them without a flicker. */
const STALE_MS = 300;

export class Areas {
  private corners: [number, number][] = [];
  /** Areas of a file; those drawn are in the state. */
  private file: unknown = readStored();
  private requestCount = 0;
  private features: GeoJSON.Feature[] = [];
  isDrawing = false;
  private readonly hint = new Popup({ closeButton: false, closeOnClick: false, className: "hint", offset: 8 });

  constructor(
    private readonly page: Page,
    private readonly map: MapLibreMap,
  ) {
    map.addSource("areas", { type: "geojson", data: { type: "FeatureCollection", features: [] } });
    map.addLayer({ id: "areas-fill", type: "fill", source: "areas", paint: { "fill-opacity": 0 } });
    const edge = { "line-color": "#ffffff", "line-width": 4, "line-opacity": 0.8 };
    map.addLayer({ id: "areas-edge", type: "line", source: "areas", paint: edge });
    map.addLayer({ id: "areas", type: "line", source: "areas", paint: { "line-color": "#10131a", "line-width": 1.8 } });
    map.on("click", (event) => this.addCorner(event.lngLat));
    map.on("dblclick", (event) => {
      if (!this.isDrawing) return;
      event.preventDefault();
      this.finish();
    });
    map.on("mousemove", "areas-fill", (event) => {
      const hit = event.features?.[0];
      const feature = typeof hit?.id === "number" ? this.features[hit.id] : undefined;
      if (this.isDrawing || !feature) return;
      const text = `${nameOf(feature, hit!.id as number)}: ${formatScore(meanOf(feature), page.state.scale)}`;
      this.hint.setLngLat(event.lngLat).setText(text).addTo(map);
    });
    map.on("mouseleave", "areas-fill", () => this.hint.remove());
    onClick("draw", () => (this.isDrawing ? this.finish() : this.draw()));
    element<HTMLInputElement>("upload").addEventListener("change", (event) => {
      const input = event.target as HTMLInputElement;
      const file = input.files?.[0];
      input.value = ""; // so that the same file can be opened again
      if (file) void this.openFile(file);
    });
  }

  get hasAreas(): boolean {
    return this.file !== null || this.page.state.area.length > 2;
  }

  /** The areas as GeoJSON; null without any. */
  get zones(): unknown {
    const { area } = this.page.state;
    if (area.length < 3) return this.file;
    return { type: "Feature", properties: {}, geometry: { type: "Polygon", coordinates: [[...area, area[0]]] } };
  }

  /** Ask for the means of the areas at hand again, since the question or the areas have changed. */
  async refresh(): Promise<void> {
    const ticket = ++this.requestCount;
    if (this.isDrawing) return;
    const question = this.page.question();
    if (!this.hasAreas || !question) {
      this.show([]);
      return withoutAreas(this.hasAreas ? "Type a prompt to see the mean of every area." : HINT);
    }
    const late = window.setTimeout(() => ticket === this.requestCount && this.showComputing(), STALE_MS);
    try {
      const answer = await summariseZones(question, this.zones);
      if (ticket !== this.requestCount || this.isDrawing) return;
      this.show(answer.features);
    } catch (error) {
      if (ticket !== this.requestCount) return;
      this.show([]);
      withoutAreas((error as Error).message, true, () => this.remove());
    } finally {
      clearTimeout(late);
    }
  }

  /** Take the colours of another question off the areas, and say that those of this one are on their way. */
  private showComputing(): void {
    if (this.isDrawing) return;
    this.map.setPaintProperty("areas-fill", "fill-opacity", 0);
    withoutAreas(COMPUTING);
  }

  /** Colour the areas as the state says, and list them. */
  applyLook(): void {
    const { state, shown } = this.page;
    const isCentred = shown?.scores.centred === true;
    const means = this.features.map(meanOf).filter((mean): mean is number => mean !== null);
    if (this.isDrawing || !this.features.length) {
      this.map.setPaintProperty("areas-fill", "fill-opacity", 0);
      return;
    }
    const most = Math.max(...means.map(Math.abs));
    const isSingle = means.length === 1 && this.page.range !== null; // alone it has the colour that such cells have
    const [low, high] = isSingle ? this.page.range! : isCentred ? [-most, most] : [Math.min(...means), Math.max(...means)];
    const table = colourTable(colourName(state.colours, isCentred));
    const shareOf = (mean: number) => (high > low ? (mean - low) / (high - low) : 0.5);
    const ramp: (number | string)[] = [];
    for (let step = 0; step <= COLOUR_STEPS; step++) {
      const share = step / COLOUR_STEPS;
      ramp.push(low + share * (high > low ? high - low : 1e-6), colourAt(table, high > low ? share : 0.5));
    }
    const coloured = means.length ? ["interpolate", ["linear"], ["get", "mean"], ...ramp] : NO_DATA;
    const colour = ["case", ["==", ["get", "mean"], null], NO_DATA, coloured] as ExpressionSpecification;
    this.map.setPaintProperty("areas-fill", "fill-color", colour);
    this.map.setPaintProperty("areas-fill", "fill-opacity", state.coloured ? 0.92 : 0);
    listAreas(this.features, {
      scale: state.scale,
      ends: means.length > 1 ? [low, high] : null,
      table,
      coloured: state.coloured,
      colourOf: (mean) => (mean === null ? NO_DATA : colourAt(table, shareOf(mean))),
      onColour: (coloured) => {
        Object.assign(state, { coloured });
        this.page.write();
        this.page.commit();
        this.applyLook();
      },
      onChoose: (feature) => this.map.fitBounds(boundsOf(feature), { padding: 80, maxZoom: 13 }),
      onRemove: () => this.remove(),
    });
  }

  /** Leave off drawing. */
  cancel(): void {
    this.setDrawing(false);
    this.corners = [];
    void this.refresh();
  }

  /** Take the corners that are set as an area. */
  finish(): void {
    this.setDrawing(false);
    const corners = this.corners.filter((corner, index) => index === 0 || String(corner) !== String(this.corners[index - 1]));
    this.corners = [];
    if (corners.length < 3) {
      this.show([]);
      return withoutAreas("An area needs three corners; nothing was drawn.", true);
    }
    this.keepFile(null);
    this.page.state.area = corners;
    this.changed();
  }

  private draw(): void {
    this.corners = [];
    this.setDrawing(true);
    this.show([]);
    withoutAreas(matchMedia("(hover: none)").matches ? DRAWING_BY_TOUCH : DRAWING);
    this.map.getCanvas().focus();
  }

  private setDrawing(drawing: boolean): void {
    this.isDrawing = drawing;
    element("draw").setAttribute("aria-pressed", String(drawing));
    element("draw").textContent = drawing ? "Finish the area" : "Draw an area";
    this.map.getCanvas().style.cursor = drawing ? "crosshair" : "";
  }

  private async openFile(file: File): Promise<void> {
    this.setDrawing(false);
    if (file.size > MAX_FILE_BYTES) return withoutAreas("This file is larger than 20 MB; simplify its areas.", true);
    const text = await file.text();
    try {
      this.file = JSON.parse(text) as unknown;
    } catch {
      return withoutAreas("This file is not GeoJSON; export the areas as GeoJSON in longitude and latitude.", true);
    }
    this.keepFile(text);
    this.page.state.area = [];
    this.changed();
  }

  /** Keep the areas of a file for as long as the tab lives: an address is too short for them. */
  private keepFile(text: string | null): void {
    if (text === null) this.file = null;
    sessionStorage.removeItem(STORED);
    if (text !== null && text.length < STORED_LETTERS) sessionStorage.setItem(STORED, text);
  }

  private remove(): void {
    this.keepFile(null);
    this.page.state.area = [];
    this.changed();
  }

  private changed(): void {
    this.page.write();
    this.page.commit();
    this.page.onAreas();
  }

  /** Set the next corner of the area that is being drawn. */
  addCorner({ lng, lat }: LngLat): void {
    if (!this.isDrawing) return;
    this.corners.push([lng, lat]);
    const geometry: GeoJSON.Geometry =
      this.corners.length > 2
        ? { type: "Polygon", coordinates: [[...this.corners, this.corners[0]!]] }
        : { type: "LineString", coordinates: this.corners };
    this.show([{ type: "Feature", properties: {}, geometry }]);
  }

  private show(features: GeoJSON.Feature[]): void {
    this.features = features.map((feature, index) => ({ ...feature, id: index }));
    this.hint.remove();
    void (this.map.getSource("areas") as GeoJSONSource).setData({ type: "FeatureCollection", features: this.features });
    this.applyLook();
  }
}

export function meanOf(feature: GeoJSON.Feature): number | null {
  return (feature.properties?.["mean"] ?? null) as number | null;
}

function boundsOf(feature: GeoJSON.Feature): LngLatBounds {
  const bounds = new LngLatBounds();
  const extend = (coordinates: unknown[]): void => {
    if (typeof coordinates[0] === "number") bounds.extend(coordinates as [number, number]);
    else for (const part of coordinates) extend(part as unknown[]);
  };
  extend((feature.geometry as GeoJSON.Polygon).coordinates);
  return bounds;
}

function readStored(): unknown {
  try {
    return JSON.parse(sessionStorage.getItem(STORED) ?? "null") as unknown;
  } catch {
    return null;
  }
}
