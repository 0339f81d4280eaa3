/** The live map: the map answers while you type. */

import { Map as MapLibreMap, Marker, setWorkerUrl } from "maplibre-gl";
import workerUrl from "maplibre-gl/dist/maplibre-gl-worker.mjs?url";
import "maplibre-gl/dist/maplibre-gl.css";
import { answerOf } from "./answer";
import type { Atlas, Question, Scores } from "./api";
import { addressOf, describeAtlas, findPlaces, listAtlases, queryOf, readScores } from "./api";
import { Areas } from "./areas";
import { colourTable } from "./colours";
import { create, element, formatScore } from "./elements";
import { drawLegend, lookOf } from "./legend";
import { showPlace } from "./placePanel";
import { ScoreLayer } from "./scoreLayer";
import { readState, writeState } from "./state";

const EXAMPLES = ["a busy street", "a quiet beach", "snow on the ground", "people skiing", "a field of crops"];
const HISTORY_KEY = "sat2cap-history";
const MONTHS = ["any date", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const PLAY_MS = 700;
const TOP_PLACES = 10;

setWorkerUrl(new URL(workerUrl, document.baseURI).href);

const state = readState(location.hash);
let atlas: Atlas | undefined;
let scores: Scores | undefined;
let pending = new AbortController();
let markers: Marker[] = [];
let areas: Areas | undefined;
let finishedPrompt: string | null = null;

const first = new ScoreLayer("score");
const second = new ScoreLayer("score-second");
const map = new MapLibreMap({
  container: "map",
  style: { version: 8, sources: {}, layers: [{ id: "ground", type: "background", paint: { "background-color": "#8b929c" } }] },
  attributionControl: { compact: true },
  dragRotate: false,
  pixelRatio: isSoftwareRendered() ? 0.5 : undefined,
});
map.touchZoomRotate.disableRotation();

/** Whether the browser draws without a GPU; fewer pixels are then worth more than sharper ones. */
function isSoftwareRendered(): boolean {
  const gl = document.createElement("canvas").getContext("webgl2");
  const info = gl?.getExtension("WEBGL_debug_renderer_info");
  const name = info ? String(gl!.getParameter(info.UNMASKED_RENDERER_WEBGL)) : "";
  return /swiftshader|llvmpipe|software/i.test(name);
}

function whenOf(): string | null {
  if (!state.month || !atlas?.knows_time) return null;
  const year = atlas.years ? atlas.years[1] : 2024;
  const two = (number: number) => String(number).padStart(2, "0");
  return `${year}-${two(state.month)}-15T${two(state.hour)}:00`;
}

function questionOf(prompt: string): Question | null {
  if (!atlas || !prompt.trim()) return null;
  return { atlas: atlas.id, prompt: prompt.trim(), when: whenOf(), scale: state.scale };
}

/** Ask for the map of what is written now; what was asked before is dropped. */
async function ask(): Promise<void> {
  pending.abort();
  pending = new AbortController();
  const signal = pending.signal;
  keepInHistory();
  const question = questionOf(state.prompt);
  if (!question) {
    scores = undefined;
    first.setScores(undefined);
    second.setScores(undefined);
    if (atlas) say("Type what a photo on the ground would show.");
    drawLegend(undefined, state);
    return;
  }
  document.body.setAttribute("aria-busy", "true");
  try {
    const started = performance.now();
    const other = state.second === null ? null : questionOf(state.second);
    const [answer, beside] = await Promise.all([readScores(question, signal), other ? readScores(other, signal) : null]);
    if (signal.aborted) return;
    scores = answer;
    first.onPainted = () => performance.measure("sat2cap-painted", { start: started });
    first.setScores(answer);
    second.setScores(beside ?? undefined);
    say(answerOf(answer, atlas!, state.scale));
    applyLook();
    updateFiles(question);
    void areas?.summarise();
    if (!element("places").hidden) void listPlaces();
  } catch (error) {
    if ((error as Error).name === "AbortError") return;
    say((error as Error).message, true);
  } finally {
    if (!signal.aborted) document.body.removeAttribute("aria-busy");
  }
}

/** Write the state into the address. Typing replaces it; the first letter after a finished prompt begins a new entry. */
function keepInHistory(): void {
  if (finishedPrompt !== null && finishedPrompt !== state.prompt) {
    finishedPrompt = null;
    history.pushState(null, "", writeState(state));
  } else {
    history.replaceState(null, "", writeState(state));
  }
}

function say(sentence: string, isProblem = false): void {
  const answer = element("answer");
  answer.textContent = sentence;
  answer.classList.toggle("problem", isProblem);
}

/** Colours, threshold and opacity, which need no request. */
function applyLook(): void {
  const table = colourTable(state.colours);
  for (const layer of [first, second]) layer.setColours(table);
  if (scores) {
    first.look = lookOf(scores, state);
    second.look = first.look;
  }
  const border = state.second === null ? 1 : Number(element<HTMLInputElement>("swipe").value) / 100;
  first.visible = [0, border];
  second.visible = [border, 1];
  first.repaint();
  drawLegend(scores, state);
  history.replaceState(null, "", writeState(state));
}

function updateFiles(question: Question): void {
  for (const format of ["tif", "png", "geojson", "pmtiles"]) {
    element<HTMLAnchorElement>(`file-${format}`).href = addressOf(question, "export", { format });
  }
}

function tileAddress(question: Question): string {
  const tiles = new URL(`./api/atlases/${encodeURIComponent(question.atlas)}/map/tiles/WebMercatorQuad/`, document.baseURI);
  return `${tiles.href}{z}/{x}/{y}.png?${queryOf(question)}`;
}

async function listPlaces(): Promise<void> {
  const question = questionOf(state.prompt);
  const list = element("places");
  if (!question) return;
  try {
    const places = await findPlaces(question, TOP_PLACES);
    clearMarkers();
    list.replaceChildren(
      ...places.features.map((feature) => {
        const [lon, lat] = feature.geometry.coordinates as [number, number];
        const button = create("button", formatScore(Number(feature.properties?.["score"]), state.scale));
        button.type = "button";
        button.addEventListener("click", () => map.flyTo({ center: [lon, lat], zoom: Math.max(map.getZoom(), 11) }));
        markers.push(new Marker({ scale: 0.6 }).setLngLat([lon, lat]).addTo(map));
        const item = create("li");
        item.append(button);
        return item;
      }),
    );
  } catch (error) {
    list.replaceChildren(create("li", (error as Error).message, "problem"));
  }
}

function clearMarkers(): void {
  for (const marker of markers) marker.remove();
  markers = [];
}

async function chooseAtlas(id: string): Promise<void> {
  atlas = await describeAtlas(id);
  state.atlas = id;
  if (!state.scale || (state.scale === "contrast" && !atlas.calibrated)) state.scale = atlas.calibrated ? "contrast" : "cosine";
  element<HTMLSelectElement>("scale").value = state.scale;
  element("time").hidden = !atlas.knows_time;
  for (const layer of [first, second]) layer.setAtlas(atlas);
  showImagery(atlas);
  if (state.lon !== null && state.lat !== null && state.zoom !== null) {
    map.jumpTo({ center: [state.lon, state.lat], zoom: state.zoom });
  } else {
    const [west, south, east, north] = atlas.bounds;
    map.fitBounds([west, south, east < west ? east + 360 : east, north], { padding: 40, animate: false });
  }
  await ask();
}

function showImagery(shown: Atlas): void {
  if (map.getLayer("imagery")) map.removeLayer("imagery");
  if (map.getSource("imagery")) map.removeSource("imagery");
  const address = new URL(`./api/atlases/${encodeURIComponent(shown.id)}/imagery/`, document.baseURI);
  map.addSource("imagery", {
    type: "raster",
    tiles: [`${address.href}{z}/{x}/{y}.webp`],
    tileSize: 256,
    minzoom: 9,
    maxzoom: 15,
    bounds: shown.bounds,
    attribution: shown.attribution.replace(/[<>&"]/g, ""),
  });
  map.addLayer({ id: "imagery", type: "raster", source: "imagery", minzoom: 9 }, first.id);
}

function showChips(): void {
  const past = readHistory();
  const texts = [...new Set([...past, ...EXAMPLES])].slice(0, 8);
  element("chips").replaceChildren(
    ...texts.map((text) => {
      const item = create("li");
      const button = create("button", text);
      button.type = "button";
      button.addEventListener("click", () => {
        element<HTMLInputElement>("prompt").value = text;
        state.prompt = text;
        void ask();
      });
      item.append(button);
      return item;
    }),
  );
}

function readHistory(): string[] {
  try {
    const past = JSON.parse(localStorage.getItem(HISTORY_KEY) ?? "[]") as unknown;
    return Array.isArray(past) ? past.filter((text): text is string => typeof text === "string").slice(0, 5) : [];
  } catch {
    return [];
  }
}

function remember(prompt: string): void {
  if (prompt.trim().length < 3) return;
  const past = [prompt.trim(), ...readHistory().filter((text) => text !== prompt.trim())].slice(0, 5);
  localStorage.setItem(HISTORY_KEY, JSON.stringify(past));
  finishedPrompt = prompt;
  showChips();
}

/** Put the state into the controls. */
function fillControls(): void {
  element<HTMLInputElement>("prompt").value = state.prompt;
  element<HTMLInputElement>("second").value = state.second ?? "";
  element<HTMLInputElement>("month").value = String(state.month);
  element<HTMLInputElement>("hour").value = String(state.hour);
  element<HTMLInputElement>("threshold").value = String(Math.round(state.threshold * 255));
  element<HTMLInputElement>("opacity").value = String(Math.round(state.opacity * 100));
  element<HTMLSelectElement>("colours").value = state.colours;
  element<HTMLSelectElement>("scale").value = state.scale;
  element("second-row").hidden = state.second === null;
  element("swipe").hidden = state.second === null;
  element("compare").setAttribute("aria-pressed", String(state.second !== null));
  showTime();
}

function showTime(): void {
  element("month-text").textContent = MONTHS[state.month] ?? "";
  element("hour-text").textContent = state.month ? `${String(state.hour).padStart(2, "0")}:00` : "";
  element<HTMLInputElement>("hour").disabled = state.month === 0;
}

function setTime(month: number, hour: number): void {
  state.month = month;
  state.hour = hour;
  element<HTMLInputElement>("month").value = String(month);
  element<HTMLInputElement>("hour").value = String(hour);
  showTime();
  void ask();
}

/** A button that moves a slider on and on until it is pressed again. */
function makePlayer(id: string, step: () => void): void {
  const button = element<HTMLButtonElement>(id);
  let timer = 0;
  button.addEventListener("click", () => {
    if (timer) {
      clearInterval(timer);
      timer = 0;
    } else {
      step();
      timer = window.setInterval(step, PLAY_MS);
    }
    button.textContent = timer ? "⏸" : "▶";
    button.setAttribute("aria-pressed", String(timer !== 0));
  });
}

function onInput(id: string, change: (value: string) => void): void {
  element<HTMLInputElement>(id).addEventListener("input", (event) => change((event.target as HTMLInputElement).value));
}

function wireControls(): void {
  onInput("prompt", (value) => {
    state.prompt = value;
    void ask();
  });
  element("prompt").addEventListener("change", () => remember(state.prompt));
  onInput("second", (value) => {
    state.second = value;
    void ask();
  });
  onInput("swipe", applyLook);
  onInput("month", (value) => setTime(Number(value), state.hour));
  onInput("hour", (value) => setTime(state.month, Number(value)));
  onInput("threshold", (value) => {
    state.threshold = Number(value) / 255;
    applyLook();
  });
  onInput("opacity", (value) => {
    state.opacity = Number(value) / 100;
    applyLook();
  });
  onInput("colours", (value) => {
    state.colours = value;
    applyLook();
  });
  onInput("scale", (value) => {
    state.scale = value;
    void ask();
  });
  makePlayer("play-month", () => setTime((state.month % 12) + 1, state.hour));
  makePlayer("play-hour", () => setTime(state.month || 6, (state.hour + 1) % 24));
  element("compare").addEventListener("click", () => {
    state.second = state.second === null ? "" : null;
    fillControls();
    void ask();
    if (state.second !== null) element("second").focus();
  });
  wirePanels();
}

function wirePanels(): void {
  for (const [button, panel] of [["show-places", "places"], ["show-files", "files"]] as const) {
    element(button).addEventListener("click", () => {
      const target = element(panel);
      target.hidden = !target.hidden;
      element(button).setAttribute("aria-expanded", String(!target.hidden));
      if (panel === "places") {
        if (target.hidden) clearMarkers();
        else void listPlaces();
      }
    });
  }
  element("draw").addEventListener("click", () => areas?.toggleDrawing());
  element<HTMLInputElement>("upload").addEventListener("change", (event) => {
    const file = (event.target as HTMLInputElement).files?.[0];
    if (file) void areas?.readFile(file);
  });
  element("copy-tiles").addEventListener("click", async () => {
    const question = questionOf(state.prompt);
    if (!question) return;
    await navigator.clipboard.writeText(tileAddress(question));
    element("copy-tiles").textContent = "Copied: in QGIS, Layer, Add layer, Add XYZ layer";
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement?.tagName !== "INPUT") {
      event.preventDefault();
      element("prompt").focus();
    }
  });
}

function wireMap(): void {
  map.on("error", (event) => {
    const source = (event as { sourceId?: string }).sourceId;
    if (source === "imagery" && map.getLayer("imagery")) map.removeLayer("imagery"); // it cannot be read from here
    else if (source !== "imagery") console.error(event.error);
  });
  map.on("moveend", () => {
    const { lng, lat } = map.getCenter();
    Object.assign(state, { lon: lng, lat, zoom: map.getZoom() });
    history.replaceState(null, "", writeState(state));
  });
  map.on("click", (event) => {
    const question = questionOf(state.prompt);
    if (areas?.isDrawing || !question || !atlas) return;
    void showPlace(atlas, question, state, event.lngLat.lng, event.lngLat.lat);
  });
  window.addEventListener("popstate", () => {
    Object.assign(state, readState(location.hash));
    fillControls();
    void (state.atlas && state.atlas !== atlas?.id ? chooseAtlas(state.atlas) : ask());
  });
  window.addEventListener("offline", () => say("This machine is offline; a server on it still answers.", true));
}

async function start(): Promise<void> {
  fillControls();
  showChips();
  wireControls();
  element("prompt").focus();
  await map.once("load");
  map.addLayer(first);
  map.addLayer(second);
  areas = new Areas(map, () => questionOf(state.prompt));
  wireMap();
  const atlases = await listAtlases();
  const usable = atlases.filter((entry) => entry.problem === null);
  const select = element<HTMLSelectElement>("atlas");
  select.hidden = atlases.length < 2;
  for (const entry of atlases) {
    const option = create("option", entry.problem ? `${entry.title} (cannot be used: ${entry.problem})` : entry.title);
    option.value = entry.id;
    option.disabled = entry.problem !== null;
    select.append(option);
  }
  select.addEventListener("change", () => {
    Object.assign(state, { lon: null, lat: null, zoom: null });
    void chooseAtlas(select.value);
  });
  const chosen = usable.find((entry) => entry.id === state.atlas) ?? usable[0];
  if (!chosen) return say(atlases[0]?.problem ?? "There is no atlas here.", true);
  select.value = chosen.id;
  await chooseAtlas(chosen.id);
}

start().catch((error: unknown) => say((error as Error).message, true));
