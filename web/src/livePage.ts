/** The page as a whole: what it asks for, what it shows of the answer, and what it does when that fails. */

import type { Atlas, AtlasSummary, Question } from "./api";
import { describeAtlas, listAtlases, Problem, Unreachable, waitForServer } from "./api";
import { Address } from "./address";
import { asSentence } from "./answer";
import { AnswerLine } from "./answerLine";
import { Areas } from "./areas";
import { describeAtlasRow, explainOtherAtlas, listAtlasChoices, usableAtlas } from "./atlasRow";
import { AtlasWatch } from "./atlasWatch";
import { offerBaseMap } from "./baseMap";
import { CompareControls } from "./compare";
import { element } from "./elements";
import { PhotoPrompts } from "./examples";
import { Files } from "./files";
import type { Range } from "./legend";
import { drawLegend } from "./legend";
import type { Shown } from "./mapRequests";
import { MapRequests, readMaps } from "./mapRequests";
import { createMap, frameAtlas, lookAsSaved, partToAsk, showAtlas } from "./mapView";
import { Nonsense } from "./nonsense";
import type { Page } from "./page";
import { showPanel } from "./panels";
import { PlacePanel } from "./placePanel";
import { BestPlaces } from "./places";
import type { Questions } from "./questions";
import { describeQuestion, questionsOf } from "./questions";
import { ScaleChoice } from "./scaleChoice";
import { ScoreMaps } from "./scoreMaps";
import type { Panel } from "./state";
import { readState, START } from "./state";
import { currentlyDoing, say, setDoing } from "./status";
import { TimeControls } from "./time";

const REST_MS = 200;

export class LivePage implements Page {
  readonly state = readState(location.hash);
  readonly map = createMap();
  readonly scale = new ScaleChoice(this.state);
  readonly time = new TimeControls(this);
  atlas: Atlas | undefined;
  /** Drawn and opened areas; undefined until the map has loaded. */
  areas: Areas | undefined;
  private readonly maps = new ScoreMaps();
  private readonly address = new Address(this.state);
  private readonly requests = new MapRequests((signal) => this.showMaps(signal));
  private readonly watch = new AtlasWatch((atlases) => void this.takeChanges(atlases).catch((error: Error) => this.fail(error)));
  private readonly nonsense = new Nonsense();
  private readonly answer = new AnswerLine(this, this.nonsense);
  private readonly compare = new CompareControls(this);
  private readonly files = new Files(this);
  private readonly places = new BestPlaces(this);
  private readonly place = new PlacePanel(this);
  private readonly photos = new PhotoPrompts(
    () => {
      say("Sending the photo …");
      setDoing("loading");
    },
    (prompt) => this.choosePrompt(prompt),
    (error) => {
      say(error.message);
      setDoing("error", false);
    },
  );
  private rest = 0;

  get shown(): Shown | undefined {
    return this.maps.shown;
  }

  get range(): Range | null {
    return this.maps.range;
  }

  get zones(): unknown {
    return this.areas?.zones ?? null;
  }

  question(): Question | null {
    return questionsOf(this.state, this.atlas)?.main ?? null;
  }

  ask(): Promise<void> {
    return this.requests.now();
  }

  askInTurn(): Promise<void> {
    return this.requests.inTurn();
  }

  write(): void {
    this.address.write();
  }

  commit(): void {
    this.address.commit();
  }

  onAreas(): void {
    void this.areas?.refresh();
    void this.places.refresh();
  }

  choosePrompt(text: string): void {
    element<HTMLInputElement>("prompt").value = text;
    Object.assign(this.state, { prompt: text, anyway: false });
    this.commit();
    void this.ask();
    this.commit();
  }

  openPanel(panel: Panel): void {
    const { state, areas } = this;
    state.panel = panel;
    if (panel !== "place") state.place = null;
    showPanel(panel);
    this.write();
    this.commit();
    if (panel !== "areas" && areas?.isDrawing) areas.cancel();
    if (panel === "areas") void areas?.refresh();
    void this.places.refresh();
    void this.place.refresh();
  }

  applyLook(): void {
    const { state, maps } = this;
    const question = this.question();
    const nonsense = question && this.nonsense.at(question.atlas, question.when);
    maps.applyLook(state, nonsense, maps.shown?.beside ? this.compare.border : 1);
    this.compare.showBorder();
    drawLegend(maps.shown?.scores, maps.range, state);
    element("legend-about").textContent = maps.shown ? describeQuestion(question, this.atlas!) : "";
    element("anyway").hidden = !maps.saysNothing || state.anyway;
    this.areas?.applyLook();
    this.write();
  }

  /** Add the layers of scores and areas to the map, which has loaded. */
  addLayers(): void {
    this.maps.addTo(this.map);
    this.areas = new Areas(this, this.map);
  }

  /** Put the state into the controls. */
  showControls(): void {
    const { state } = this;
    element<HTMLInputElement>("prompt").value = state.prompt;
    element<HTMLInputElement>("threshold").value = String(Math.round(state.threshold * 255));
    element<HTMLInputElement>("opacity").value = String(Math.round(state.opacity * 100));
    element<HTMLSelectElement>("colours").value = state.colours;
    element<HTMLSelectElement>("scale").value = state.scale || "contrast";
    this.time.show();
    this.compare.show();
    showPanel(state.panel);
  }

  /** Show another atlas, from where it can be seen as a whole. */
  changeAtlas(id: string): void {
    this.forgetPlaces();
    void this.chooseAtlas(id).catch((error: Error) => this.fail(error));
    this.commit();
  }

  /** Forget where the map looked and what was marked on it: it belongs to another region. */
  private forgetPlaces(): void {
    const { lon, lat, zoom, place, area } = START;
    Object.assign(this.state, { lon, lat, zoom, place, area, panel: "" });
  }

  /** Go back to the state of an address, which the browser's history holds. */
  restore(hash: string): void {
    const { state } = this;
    Object.assign(state, readState(hash));
    if (this.atlas) this.scale.begin(this.atlas); // a link may name no scale
    this.commit();
    this.showControls();
    if (state.atlas && state.atlas !== this.atlas?.id) void this.chooseAtlas(state.atlas).catch((error: Error) => this.fail(error));
    else {
      lookAsSaved(this.map, state);
      void this.ask();
    }
  }

  /** Begin again where the page had to stop. */
  resume(): void {
    void (this.atlas ? this.ask() : this.openAtlases().catch((error: Error) => this.fail(error)));
  }

  /** Say what went wrong, and offer to try again where that can help. */
  fail(error: Error): void {
    const isFinal = error instanceof Problem && error.isFinal;
    const isUnreachable = error instanceof Unreachable;
    if (isFinal && this.areas) this.clear(); // the map of another prompt is no answer to this one
    say(error.message);
    this.time.stop();
    setDoing(isUnreachable ? "offline" : "error", !isUnreachable && !isFinal);
    if (isUnreachable) void waitForServer(() => currentlyDoing() === "offline", () => this.resume());
  }

  /** Ask for the maps of the state, and show them. */
  private async showMaps(signal: AbortSignal): Promise<void> {
    const { state, atlas, map } = this;
    const started = performance.now();
    this.scale.settle(atlas);
    const questions = questionsOf(state, atlas);
    const answer = questions && atlas && readMaps(questions, partToAsk(map, atlas), signal); // asked before all else
    this.write();
    void this.photos.show(state.prompt);
    if (!questions || !answer) return this.showNothing();
    setDoing("loading");
    try {
      const maps = await answer;
      if (signal.aborted) return;
      await this.maps.show(maps, started, () => this.applyLook());
      if (signal.aborted) return;
      setDoing("ready");
      element("page").dataset["shown"] = JSON.stringify([questions.main, questions.beside]);
      this.followMaps(questions, signal);
    } catch (error) {
      if ((error as Error).name !== "AbortError" && !signal.aborted) this.fail(error as Error);
    }
  }

  /** Bring what depends on the maps up to date: the answer at once, what costs a request when the page has come to rest. */
  private followMaps(questions: Questions, signal: AbortSignal): void {
    this.answer.sayAtOnce(questions);
    this.files.show();
    clearTimeout(this.rest);
    this.rest = window.setTimeout(() => {
      if (this.time.isPlaying || signal.aborted) return;
      this.refreshPanels();
      void this.answer.complete(questions, signal);
    }, REST_MS);
  }

  private refreshPanels(): void {
    for (const panel of [this.areas, this.places, this.place]) void panel?.refresh();
  }

  private showNothing(): void {
    this.clear();
    this.refreshPanels();
    if (!this.atlas) return;
    setDoing("empty");
    const cells = this.atlas.cells.toLocaleString("en");
    const invitation = `Describe what a photo on the ground would show, and every one of ${cells} places is scored for it as you type.`;
    say(invitation + asSentence(this.atlas.unfinished ?? ""));
  }

  private clear(): void {
    this.maps.clear();
    delete element("page").dataset["shown"];
    this.applyLook();
    this.files.show();
  }

  /** Open the atlas of the address, or the first that can be used. */
  async openAtlases(): Promise<void> {
    setDoing("opening");
    const atlases = await listAtlases();
    this.watch.follow(atlases);
    listAtlasChoices(atlases, this.state.atlas);
    const chosen = usableAtlas(atlases, this.state.atlas);
    if (!chosen) return this.fail(new Error(atlases[0]?.problem ?? "There is no atlas here; make one with: sat2cap embed"));
    const other = explainOtherAtlas(atlases, this.state.atlas, chosen);
    if (other) this.forgetPlaces();
    await this.chooseAtlas(chosen.id);
    if (other) say(other);
    await offerBaseMap(this.map);
  }

  /** Offer atlases that have become usable, and bring the map up to date with what has been computed meanwhile. */
  private async takeChanges(atlases: AtlasSummary[]): Promise<void> {
    if (!this.atlas) return this.openAtlases();
    const { atlas } = this;
    listAtlasChoices(atlases, atlas.id);
    const now = atlases.find((entry) => entry.id === atlas.id);
    if (!now || now.problem !== null || now.unfinished === atlas.unfinished) return;
    this.atlas = await describeAtlas(atlas.id);
    describeAtlasRow(this.atlas);
    await this.askInTurn();
  }

  private async chooseAtlas(id: string): Promise<void> {
    const { state, map } = this;
    const atlas = await describeAtlas(id);
    this.atlas = atlas;
    describeAtlasRow(atlas);
    this.nonsense.forget();
    state.atlas = id;
    this.scale.begin(atlas);
    this.photos.offer(atlas.photos === true);
    for (const control of ["time", "show-time"]) element(control).hidden = !atlas.knows_time;
    this.maps.setAtlas(atlas);
    showAtlas(map, atlas, this.maps.lowestLayer);
    this.showControls();
    if (!lookAsSaved(map, state)) frameAtlas(map, atlas);
    await this.ask();
  }
}
