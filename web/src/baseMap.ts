/** A public map underneath, where the server offers one: off until someone turns it on, as its tiles come from elsewhere. */

import type { Map as MapLibreMap } from "maplibre-gl";
import { request } from "./api";
import { element, plainText } from "./elements";

const STORED = "sat2cap-base-map";

interface BaseMap {
  tiles: string | null;
  attribution: string;
}

/** Offer the server's base map, and show it if it was on when this browser was here last. */
export async function offerBaseMap(map: MapLibreMap): Promise<void> {
  const offered = (await (await request("./api/base-map")).json()) as BaseMap;
  if (!offered.tiles) return;
  const box = element<HTMLInputElement>("base-map");
  element("base-map-host").textContent = new URL(offered.tiles.replace(/[{}]/g, "")).host;
  element("base-map-row").hidden = false;
  box.checked = localStorage.getItem(STORED) === "on";
  const show = () => {
    localStorage.setItem(STORED, box.checked ? "on" : "off");
    if (box.checked) addBaseMap(map, offered.tiles!, offered.attribution);
    else removeBaseMap(map);
  };
  box.addEventListener("change", show);
  show();
}

function addBaseMap(map: MapLibreMap, tiles: string, attribution: string): void {
  const source = { tiles: [tiles], tileSize: 256, maxzoom: 19, attribution: plainText(attribution) };
  map.addSource("base-map", { type: "raster", ...source });
  const above = map.getStyle().layers[1]?.id; // the first is the ground
  map.addLayer({ id: "base-map", type: "raster", source: "base-map" }, above);
}

function removeBaseMap(map: MapLibreMap): void {
  if (map.getLayer("base-map")) map.removeLayer("base-map");
  if (map.getSource("base-map")) map.removeSource("base-map");
}
