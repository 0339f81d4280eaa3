/** The live map: the map answers while you type. */

import { answerFromChance, answerFromScores, warningOf } from "./answer";
import type { Atlas, Question } from "./api";
import { describeAtlas, listAtlases, Problem, readScores, request, Unreachable } from "./api";
import { Areas } from "./areas";
import { describeAtlasRow, listAtlasChoices } from "./atlasRow";
import { offerBaseMap } from "./baseMap";
import { colourName, colourTable } from "./colours";
import { CompareControls, differenceOf, otherQuestion } from "./compare";
import { element, onInput } from "./elements";
import { hasExample, PhotoPrompts } from "./examples";
import { Files } from "./files";
import { wireKeys } from "./keyboard";
import type { Range } from "./legend";
import { commonRange, drawLegend, lookOf, rangeOf } from "./legend";
import type { Shown } from "./maps";
import { MapRequests, needsChance, readMaps } from "./maps";
import { createMap, frameAtlas, holdsView, partToAsk, showAtlas } from "./mapView";
import { Nonsense } from "./nonsense";
import type { Page } from "./page";
import { showPanel, wirePanels } from "./panels";
import { PlacePanel } from "./placePanel";
import { BestPlaces } from "./places";
import { remember, showChips } from "./recent";
import { ScoreLayer } from "./scoreLayer";
import { readState, START, writeState } from "./state";
import { aboutMap, momentOf, TimeControls } from "./time";

/** What the page is doing; the style, and whoever drives the page, read it from `data-state`. */
type Doing = "opening" | "empty" | "loading" | "ready" | "error" | "offline";

const REST_MS = 200;
const RETRY_MS = 2000;
const PAINT_MS = 1000;

const state = readState(location.hash);
const map = createMap();
const [first, second] = [new ScoreLayer("score"), new ScoreLayer("score-second")];
let atlas: Atlas | undefined;
let shown: Shown | undefined;
let range: Range | null = null;
let isFinished = false;
/** Whether the scale was changed for a prompt that has no chance, and goes back after it. */
let isScaleLent = false;
let rest = 0;

const page: Page = {
  state,
  map,
  get atlas() {
    return atlas;
  },
  get scores() {
    return shown?.scores;
  },
  get range() {
    return range;
  },
  question: mainQuestion,
  ask: () => requests.now(),
  askInTurn: () => requests.inTurn(),
  applyLook,
  write,
  commit: () => void (isFinished = true),
  openPanel,
  zones: () => areas?.zones ?? null,
  onAreas: () => [areas, places].forEach((panel) => void panel?.refresh()),
  choosePrompt,
};
const requests = new MapRequests(send);
const time = new TimeControls(page);
const compare = new CompareControls(page);
const files = new Files(page);
const places = new BestPlaces(page);
const place = new PlacePanel(page);
const nonsense = new Nonsense();
const photos = new PhotoPrompts(choosePrompt, (error) => {
  say(error.message);
  setDoing("error");
  element("retry").hidden = true;
});
let areas: Areas | undefined;

/** The question of the first map, as if nothing were compared. */
function firstQuestion(): Question | null {
  const prompt = state.prompt.trim();
  if (!atlas || !prompt) return null;
  const when = atlas.knows_time ? momentOf(state.month, state.hour, atlas.years) : null;
  return { atlas: atlas.id, prompt, when, scale: state.scale, minus: null, minusWhen: null };
}

function mainQuestion(): Question | null {
  const question = firstQuestion();
  const other = question && otherQuestion(question, state, atlas!.years);
  return question && other && state.difference ? differenceOf(question, other) : question;
}

/** Take ranks for a prompt that has no chance, and chances again after it. */
function settleScale(): void {
  const hasNoChance = hasExample(state.prompt) || hasExample(state.second ?? "");
  if (hasNoChance && state.scale === "contrast") [state.scale, isScaleLent] = ["percentile", true];
  else if (!hasNoChance && isScaleLent) [state.scale, isScaleLent] = ["contrast", false];
  element<HTMLSelectElement>("scale").value = state.scale;
  const chance = element("scale").querySelector<HTMLOptionElement>("[value=contrast]")!;
  chance.disabled = hasNoChance || !atlas?.calibrated;
}

async function send(signal: AbortSignal): Promise<void> {
  settleScale();
  write();
  void photos.show(state.prompt);
  const question = mainQuestion();
  if (!question || !atlas) return showNothing();
  setDoing("loading");
  const started = performance.now();
  try {
    const other = state.difference ? null : otherQuestion(question, state, atlas.years);
    const answer = await readMaps(question, other, partToAsk(map, atlas), signal);
    if (signal.aborted) return;
    shown = answer;
    await paint(started);
    if (signal.aborted) return;
    setDoing("ready");
    element("page").dataset["shown"] = JSON.stringify([question, other]);
    void follow(question, signal);
  } catch (error) {
    if ((error as Error).name !== "AbortError" && !signal.aborted) fail(error as Error);
  }
}

/** Give the newest maps to the layers; resolves when they are on the screen, or should be. */
function paint(started: number): Promise<void> {
  return new Promise((resolve) => {
    first.onPainted = () => {
      performance.measure("sat2cap-painted", { start: started });
      resolve();
    };
    setTimeout(resolve, PAINT_MS); // a hidden tab paints nothing
    first.setScores(shown!.scores);
    second.setScores(shown!.beside ?? undefined);
    applyLook();
  });
}

/** What depends on the map: the answer in words at once, all that costs a request when the page has come to rest. */
async function follow(question: Question, signal: AbortSignal): Promise<void> {
  const { scores } = shown!;
  const isDifference = scores.centred === true;
  const isChance = question.scale === "contrast" && !isDifference;
  if (isChance) sayChances(question);
  else if (!needsChance(atlas!, question)) say(answerFromScores(scores, question.scale) + warningOf(scores));
  files.show();
  clearTimeout(rest);
  rest = window.setTimeout(() => {
    if (time.isPlaying || signal.aborted) return;
    void areas?.refresh();
    void places.refresh();
    void place.refresh();
    if (needsChance(atlas!, question)) void sayChance(question, signal);
    if (isChance) void learnNonsense(question, signal);
  }, REST_MS);
}

/** Say what the chances of the map mean; of two maps, what those of each mean. */
function sayChances(question: Question): void {
  const { scores, beside } = shown!;
  const other = otherQuestion(question, state, atlas!.years);
  const left = answerFromChance(scores, atlas!, nonsenseAt(question));
  if (!beside || !other) return say(left + warningOf(scores));
  const right = answerFromChance(beside, atlas!, nonsenseAt(other));
  const within = (sentence: string) => sentence.charAt(0).toLowerCase() + sentence.slice(1);
  say(`On the left, ${within(left)} On the right, ${within(right)}${warningOf(scores)}`);
}

function nonsenseAt(question: Question): number | null {
  return nonsense.at(question.atlas, question.when);
}

/** Learn what nonsense reaches at the date of the map, and say and show the map in its light. */
async function learnNonsense(question: Question, signal: AbortSignal): Promise<void> {
  const other = state.difference ? null : otherQuestion(question, state, atlas!.years);
  const dates = [question.when, ...(other && other.when !== question.when ? [other.when] : [])];
  const isNew = await Promise.all(dates.map((when) => nonsense.learn(question.atlas, when).catch(() => false)));
  if (!isNew.includes(true) || signal.aborted || !shown) return;
  applyLook();
  if (!hasFailed()) sayChances(question);
}

async function sayChance(question: Question, signal: AbortSignal): Promise<void> {
  const part = shown?.part ?? null;
  const chance = await readScores({ ...question, scale: "contrast" }, part, signal).catch(() => null);
  await nonsense.learn(question.atlas, question.when).catch(() => false);
  if (signal.aborted || !shown || hasFailed()) return;
  const sentence = chance ? answerFromChance(chance, atlas!, nonsenseAt(question)) : answerFromScores(shown.scores, question.scale);
  say(sentence + warningOf(shown.scores, chance ?? shown.scores));
}

function clearMap(): void {
  shown = undefined;
  first.setScores(undefined);
  second.setScores(undefined);
  delete element("page").dataset["shown"];
  applyLook();
  files.show();
}

function showNothing(): void {
  clearMap();
  for (const panel of [areas, places, place]) void panel?.refresh();
  if (atlas) {
    setDoing("empty");
    const cells = atlas.cells.toLocaleString("en");
    say(`Describe what a photo on the ground would show, and every one of ${cells} places is scored for it as you type.`);
  }
}

function setDoing(doing: Doing): void {
  element("page").dataset["state"] = doing;
  element("page").setAttribute("aria-busy", String(doing === "loading" || doing === "opening"));
  element("retry").hidden = doing !== "error";
}

/** Whether the page tells of a failure, such as a photo that was refused: what comes late does not replace it. */
function hasFailed(): boolean {
  const doing = element("page").dataset["state"];
  return doing === "error" || doing === "offline";
}

function say(sentence: string): void {
  const answer = element("answer");
  if (answer.textContent !== sentence) answer.textContent = sentence;
}

function fail(error: Error): void {
  const isFinal = error instanceof Problem && error.isFinal;
  if (isFinal && shown) clearMap(); // the map of another prompt is no answer to this one
  say(error.message);
  time.stop();
  setDoing(error instanceof Unreachable ? "offline" : "error");
  if (isFinal) element("retry").hidden = true; // it would be refused again
  if (error instanceof Unreachable) void waitForServer();
}

/** Ask for the server's health until it answers, and go on. */
async function waitForServer(): Promise<void> {
  while (element("page").dataset["state"] === "offline") {
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    const isBack = await request("./api/health").then(Boolean, () => false);
    if (isBack && element("page").dataset["state"] === "offline") return goOn();
  }
}

/** Begin again where the page had to stop. */
function goOn(): void {
  void (atlas ? requests.now() : openAtlases().catch(fail));
}

/** Write the state into the address; a state that was finished stays behind in the history when it is changed. */
function write(): void {
  const address = writeState(state);
  const view = ({ hash }: { hash: string }) => writeState({ ...readState(hash), lon: null, lat: null, zoom: null });
  if (isFinished && view(location) !== view({ hash: address })) {
    isFinished = false;
    history.pushState(null, "", address);
  } else {
    history.replaceState(null, "", address);
  }
  const isDark = [shown?.scores, shown?.beside].some((scores) => scores?.says_nothing);
  element("anyway").hidden = !isDark || state.anyway;
  document.title = state.prompt.trim() ? `${state.prompt.trim()} · sat2cap` : "sat2cap";
}

/** Colours, threshold and opacity, which need no request. */
function applyLook(): void {
  const question = firstQuestion();
  const least = question && nonsenseAt(question);
  const table = colourTable(colourName(state.colours, shown?.scores.centred === true));
  for (const layer of [first, second]) layer.setColours(table);
  range = null;
  if (shown) {
    range = rangeOf(shown.scores, state.scale, least);
    if (shown.beside) range = commonRange(range, rangeOf(shown.beside, state.scale, least));
    if (range && shown.scores.low !== null) first.look = lookOf(shown.scores, range, state);
    if (range && shown.beside && shown.beside.low !== null) second.look = lookOf(shown.beside, range, state);
  }
  const border = shown?.beside ? compare.border : 1;
  first.visible = [0, border];
  second.visible = [border, 1];
  compare.showBorder();
  first.repaint();
  drawLegend(shown?.scores, range, state);
  element("legend-about").textContent = shown ? aboutMap(mainQuestion(), atlas!) : "";
  areas?.applyLook();
  write();
}

function openPanel(panel: Page["state"]["panel"]): void {
  state.panel = panel;
  if (panel !== "place") state.place = null;
  showPanel(panel);
  write();
  page.commit();
  if (panel !== "areas" && areas?.isDrawing) areas.cancel();
  if (panel === "areas") void areas?.refresh();
  void places.refresh();
  void place.refresh();
}

async function chooseAtlas(id: string): Promise<void> {
  atlas = await describeAtlas(id);
  describeAtlasRow(atlas);
  nonsense.forget();
  state.atlas = id;
  if (!state.scale || (state.scale === "contrast" && !atlas.calibrated)) state.scale = atlas.calibrated ? "contrast" : "cosine";
  element("scale").querySelector<HTMLOptionElement>("[value=contrast]")!.disabled = !atlas.calibrated;
  for (const id of ["time", "show-time"]) element(id).hidden = !atlas.knows_time;
  for (const layer of [first, second]) layer.setAtlas(atlas);
  showAtlas(map, atlas, first.id);
  fillControls();
  if (state.lon !== null && state.lat !== null && state.zoom !== null) {
    map.jumpTo({ center: [state.lon, state.lat], zoom: state.zoom });
  } else {
    frameAtlas(map, atlas);
  }
  await requests.now();
}

/** Put the state into the controls. */
function fillControls(): void {
  element<HTMLInputElement>("prompt").value = state.prompt;
  element<HTMLInputElement>("threshold").value = String(Math.round(state.threshold * 255));
  element<HTMLInputElement>("opacity").value = String(Math.round(state.opacity * 100));
  element<HTMLSelectElement>("colours").value = state.colours;
  element<HTMLSelectElement>("scale").value = state.scale;
  time.show();
  compare.show();
  showPanel(state.panel);
}

function choosePrompt(text: string): void {
  element<HTMLInputElement>("prompt").value = text;
  Object.assign(state, { prompt: text, anyway: false });
  page.commit();
  void requests.now();
  page.commit();
}

function wireControls(): void {
  onInput("prompt", (value) => {
    Object.assign(state, { prompt: value, anyway: false });
    void requests.now();
  });
  element("prompt").addEventListener("change", () => {
    page.commit();
    if (remember(state.prompt)) showChips(choosePrompt);
  });
  const looks = { threshold: 255, opacity: 100 } as const;
  for (const [id, most] of Object.entries(looks)) {
    onInput(id, (value) => {
      state[id as keyof typeof looks] = Number(value) / most;
      applyLook();
    });
  }
  onInput("colours", (value) => {
    state.colours = value;
    applyLook();
  });
  onInput("scale", (value) => {
    state.scale = value;
    isScaleLent = false;
    void requests.now();
  });
  for (const id of ["threshold", "opacity", "colours", "scale"]) element(id).addEventListener("change", () => page.commit());
  element("retry").addEventListener("click", goOn);
  element("anyway").addEventListener("click", () => {
    state.anyway = true;
    applyLook();
    page.commit();
  });
  wirePanels(openPanel, () => state.panel);
  wireKeys({
    leaveOff: () => {
      if (time.isPlaying) time.stop();
      else if (areas?.isDrawing) areas.cancel();
      else if (state.panel) element("close").click();
    },
    enterOnMap: () => areas?.isDrawing && areas.finish(),
    isMap: (target) => target === map.getCanvas(),
  });
}

function wireMap(): void {
  map.on("error", (event) => {
    const source = (event as { sourceId?: string }).sourceId;
    if (source === "imagery" && map.getLayer("imagery")) map.removeLayer("imagery"); // it cannot be read from here
    else if (source !== "imagery" && source !== "base-map") console.error(event.error);
  });
  map.on("moveend", () => {
    if (!atlas) return; // the window was sized before there was anything to look at
    const { lng, lat } = map.getCenter();
    Object.assign(state, { lon: lng, lat, zoom: map.getZoom() });
    write();
    if (shown?.part && !holdsView(shown.part, map)) void requests.inTurn();
  });
  map.on("click", (event) => {
    if (areas?.isDrawing || !atlas) return;
    state.place = [event.lngLat.lng, event.lngLat.lat];
    openPanel("place");
  });
  window.addEventListener("popstate", () => {
    Object.assign(state, readState(location.hash));
    isFinished = true;
    fillControls();
    void (state.atlas && state.atlas !== atlas?.id ? chooseAtlas(state.atlas).catch(fail) : requests.now());
  });
}

async function openAtlases(): Promise<void> {
  setDoing("opening");
  const atlases = await listAtlases();
  const usable = atlases.filter((entry) => entry.problem === null);
  listAtlasChoices(atlases);
  const chosen = usable.find((entry) => entry.id === state.atlas) ?? usable[0];
  if (!chosen) return fail(new Error(atlases[0]?.problem ?? "There is no atlas here; make one with: sat2cap embed"));
  await chooseAtlas(chosen.id);
  await offerBaseMap(map);
}

async function start(): Promise<void> {
  fillControls();
  showChips(choosePrompt);
  wireControls();
  element("prompt").focus();
  await map.once("load");
  map.addLayer(first);
  map.addLayer(second);
  areas = new Areas(page, map);
  wireMap();
  element("atlas").addEventListener("change", (event) => {
    const id = (event.target as HTMLSelectElement).value;
    const { lon, lat, zoom, place, area } = START;
    Object.assign(state, { lon, lat, zoom, place, area, panel: "" });
    void chooseAtlas(id).catch(fail);
    page.commit();
  });
  await openAtlases();
}

start().catch(fail);
