/** What the parts of the page share. */

import type { Map as MapLibreMap } from "maplibre-gl";
import type { Atlas, Question } from "./api";
import type { Range } from "./legend";
import type { Shown } from "./mapRequests";
import type { Panel, State } from "./state";

export interface Page {
  readonly state: State;
  readonly map: MapLibreMap;
  readonly atlas: Atlas | undefined;
  /** The maps in view; undefined before the first ones. */
  readonly shown: Shown | undefined;
  /** The scores of its first and last colour; null without a map. */
  readonly range: Range | null;
  /** The areas that are drawn or opened, as GeoJSON; null without any. */
  readonly zones: unknown;
  /** What is asked now; null without a prompt. */
  question(): Question | null;
  /** Ask for the map of the state now; what was asked before is dropped. Resolves when it is painted, or has failed. */
  ask(): Promise<void>;
  /** The same, but a request under way is finished first: a slider that moves on shows what it passes. */
  askInTurn(): Promise<void>;
  /** Draw with the colours, threshold and opacity of the state; needs no request. */
  applyLook(): void;
  /** Write the state into the address. */
  write(): void;
  /** The state is one to come back to: the next change of it becomes a new entry of the browser's history. */
  commit(): void;
  openPanel(panel: Panel): void;
  /** The areas have changed: what depends on them is asked for again. */
  onAreas(): void;
  /** Ask this, as if it had been typed. */
  choosePrompt(text: string): void;
}
