/** The maps on the screen: one, or two with a border between them, in common colours. */

import type { Map as MapLibreMap } from "maplibre-gl";
import type { Atlas, Scores } from "./api";
import { colourName, colourTable } from "./colours";
import type { Range } from "./legend";
import { commonRange, lookOf, rangeOf } from "./legend";
import type { Shown } from "./mapRequests";
import type { Look } from "./scoreLayer";
import { ScoreLayer } from "./scoreLayer";
import type { State } from "./state";

/** How long to wait for a frame: a hidden tab paints none. */
const PAINT_MS = 1000;

/** The look of a map without any score. */
const HIDDEN: Look = { low: 1, high: 255, threshold: 0, centre: 0, opacity: 0 };

export class ScoreMaps {
  /** The maps in view; undefined before the first ones. */
  shown: Shown | undefined;
  /** The scores of the first and last colour; null without a map. */
  range: Range | null = null;
  private readonly first = new ScoreLayer("score");
  private readonly second = new ScoreLayer("score-second");

  addTo(map: MapLibreMap): void {
    map.addLayer(this.first);
    map.addLayer(this.second);
  }

  setAtlas(atlas: Atlas): void {
    for (const layer of [this.first, this.second]) layer.setAtlas(atlas);
  }

  /** The layer that what lies below all scores is put below. */
  get lowestLayer(): string {
    return this.first.id;
  }

  /** Whether the words of a map say nothing to the model, so that it is not drawn unless somebody wants it. */
  get saysNothing(): boolean {
    return [this.shown?.scores, this.shown?.beside].some((scores) => scores?.says_nothing);
  }

  clear(): void {
    this.shown = undefined;
    this.first.setScores(undefined);
    this.second.setScores(undefined);
  }

  /**
   * Take the maps that were asked for at `started` (ms of the page's clock), which `draw` then gives their look.
   *
   * Resolves when they are on the screen, or should be.
   */
  show(maps: Shown, started: number, draw: () => void): Promise<void> {
    this.shown = maps;
    return new Promise((resolve) => {
      this.first.onPainted = () => {
        performance.measure("sat2cap-painted", { start: started });
        resolve();
      };
      setTimeout(resolve, PAINT_MS);
      this.first.setScores(maps.scores);
      this.second.setScores(maps.beside ?? undefined);
      draw();
    });
  }

  /**
   * Draw with the colours, threshold and opacity of the state.
   *
   * `nonsense` is the chance that words without meaning reach, null where it is not known; `border` is where the second
   * map begins, as a share of the width, 1 without one.
   */
  applyLook(state: State, nonsense: number | null, border: number): void {
    const { shown, first, second } = this;
    const table = colourTable(colourName(state.colours, shown?.scores.centred === true));
    first.visible = [0, border];
    second.visible = [border, 1];
    this.range = null;
    if (shown) {
      this.range = rangeOf(shown.scores, state.scale, nonsense);
      if (shown.beside) this.range = commonRange(this.range, rangeOf(shown.beside, state.scale, nonsense));
      const look = (scores: Scores) => (this.range && scores.low !== null ? lookOf(scores, this.range, state) : HIDDEN);
      first.setLook(look(shown.scores), table);
      if (shown.beside) second.setLook(look(shown.beside), table);
    }
    first.repaint();
  }
}
