/** The map itself: its ground, the imagery, the outline of the atlas, and where it looks. */

import type { GeoJSONSource } from "maplibre-gl";
import { AttributionControl, Map as MapLibreMap, NavigationControl, ScaleControl, setWorkerUrl } from "maplibre-gl";
import workerUrl from "maplibre-gl/dist/maplibre-gl-worker.mjs?url";
import "maplibre-gl/dist/maplibre-gl.css";
import type { Atlas, Box } from "./api";
import { atlasAddress } from "./api";
import { element, plainText } from "./elements";
import { keyHeaders } from "./key";
import { isNarrow } from "./panels";
import type { State } from "./state";

const GROUND = { light: "#dde2e8", dark: "#14171c" };
const IMAGERY_FROM_ZOOM = 8;
const MARGIN_PX = 28;
const REPAINT_MS = 150;
/** Least width and height left for an atlas, px, before it is framed beneath the cards. */
const LEAST_PX = 320;
/** Atlases with more cells are asked for the part in view only. */
const WHOLE_CELLS = 1_500_000;
const PART_MARGIN = 0.3;

setWorkerUrl(new URL(workerUrl, document.baseURI).href);

export function createMap(): MapLibreMap {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const ground = () => (dark.matches ? GROUND.dark : GROUND.light);
  const map = new MapLibreMap({
    container: "map",
    style: { version: 8, sources: {}, layers: [{ id: "ground", type: "background", paint: { "background-color": ground() } }] },
    attributionControl: false,
    dragRotate: false,
    pixelRatio: isSoftwareRendered() ? 0.5 : undefined,
    transformRequest: (url) => (url.startsWith(new URL("./api/", document.baseURI).href) ? { url, headers: keyHeaders() } : { url }),
  });
  map.touchZoomRotate.disableRotation();
  map.keyboard.disableRotation();
  map.addControl(new AttributionControl({ compact: true }), "bottom-right");
  map.addControl(new ScaleControl({ maxWidth: 90 }), "bottom-right");
  map.addControl(new NavigationControl({ showCompass: false }), "bottom-right");
  // A browser that draws without a GPU leaves a hole in the map where a card was that has become smaller.
  const redraw = new ResizeObserver(() => {
    map.triggerRepaint();
    setTimeout(() => map.triggerRepaint(), REPAINT_MS);
  });
  for (const id of ["ask", "legend", "time", "panel"]) redraw.observe(element(id));
  dark.addEventListener("change", () => map.setPaintProperty("ground", "background-color", ground()));
  return map;
}

/** Whether the browser draws without a GPU; fewer pixels are then worth more than sharper ones. */
function isSoftwareRendered(): boolean {
  const gl = document.createElement("canvas").getContext("webgl2");
  const info = gl?.getExtension("WEBGL_debug_renderer_info");
  const name = info ? String(gl!.getParameter(info.UNMASKED_RENDERER_WEBGL)) : "";
  return /swiftshader|llvmpipe|software/i.test(name);
}

/** Put the imagery of an atlas and its outline below the scores. */
export function showAtlas(map: MapLibreMap, atlas: Atlas, below: string): void {
  for (const layer of ["imagery", "outline"]) if (map.getLayer(layer)) map.removeLayer(layer);
  if (map.getSource("imagery")) map.removeSource("imagery");
  map.addSource("imagery", {
    type: "raster",
    tiles: [new URL(`${atlasAddress(atlas.id, "imagery")}/`, document.baseURI).href + "{z}/{x}/{y}.webp"],
    tileSize: 256,
    minzoom: IMAGERY_FROM_ZOOM,
    maxzoom: 15,
    bounds: atlas.bounds,
    attribution: plainText(atlas.attribution),
  });
  map.addLayer({ id: "imagery", type: "raster", source: "imagery", minzoom: IMAGERY_FROM_ZOOM }, below);
  const outline = outlineOf(atlas);
  const source = map.getSource("outline") as GeoJSONSource | undefined;
  if (source) void source.setData(outline);
  else map.addSource("outline", { type: "geojson", data: outline });
  const dashes = { "line-color": "#7d8896", "line-width": 1.2, "line-dasharray": [3, 2] };
  map.addLayer({ id: "outline", type: "line", source: "outline", paint: dashes });
}

/** The edge of the grid, from its mesh. */
function outlineOf(atlas: Atlas): GeoJSON.Feature {
  const { steps, xy } = atlas.mesh;
  const side = steps + 1;
  const along = [...Array(steps).keys()];
  const ring = [
    ...along.map((step) => xy[step]!),
    ...along.map((step) => xy[step * side + steps]!),
    ...along.map((step) => xy[steps * side + steps - step]!),
    ...along.map((step) => xy[(steps - step) * side]!),
    xy[0]!,
  ].map(([x, y]) => [(x - 0.5) * 360, (Math.atan(Math.sinh(Math.PI * (1 - 2 * y))) * 180) / Math.PI]);
  return { type: "Feature", properties: {}, geometry: { type: "LineString", coordinates: ring } };
}

/** Look at the whole atlas, beside the cards that lie over the map. */
export function frameAtlas(map: MapLibreMap, atlas: Atlas): void {
  const [west, south, east, north] = atlas.bounds;
  const padding = { top: MARGIN_PX, bottom: MARGIN_PX, left: MARGIN_PX, right: MARGIN_PX };
  if (!isNarrow()) {
    padding.left += element("ask").getBoundingClientRect().right;
    const right = element("right").getBoundingClientRect();
    const isRoomy = right.left - padding.left - MARGIN_PX >= LEAST_PX; // then no panel will hide a part of it
    if (isRoomy) padding.right += window.innerWidth - right.left;
    else padding.top += element("tools").getBoundingClientRect().bottom;
    const time = element("time");
    if (!time.hidden) padding.bottom += window.innerHeight - time.getBoundingClientRect().top;
  }
  map.fitBounds([west, south, east < west ? east + 360 : east, north], { padding, animate: false });
}

/** Look where a state says; whether it says that. */
export function lookAsSaved(map: MapLibreMap, { lon, lat, zoom }: State): boolean {
  if (lon === null || lat === null || zoom === null) return false;
  map.jumpTo({ center: [lon, lat], zoom });
  return true;
}

/** The part of a large atlas to ask for; null for the whole of it. */
export function partToAsk(map: MapLibreMap, atlas: Atlas): Box | null {
  const [rows, cols] = atlas.grid.shape;
  if (rows * cols <= WHOLE_CELLS) return null;
  const view = viewOf(map);
  const [wide, high] = [(view[2] - view[0]) * PART_MARGIN, (view[3] - view[1]) * PART_MARGIN];
  return [view[0] - wide, Math.max(view[1] - high, -85), view[2] + wide, Math.min(view[3] + high, 85)];
}

/** Whether a part holds all that is in view. */
export function holdsView(part: Box, map: MapLibreMap): boolean {
  const view = viewOf(map);
  return part[0] <= view[0] && part[1] <= view[1] && part[2] >= view[2] && part[3] >= view[3];
}

function viewOf(map: MapLibreMap): Box {
  const bounds = map.getBounds();
  return [bounds.getWest(), bounds.getSouth(), bounds.getEast(), bounds.getNorth()];
}
