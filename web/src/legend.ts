/** The legend: the colours in use, the values at their ends, threshold and opacity. */

import type { Scores } from "./api";
import { colourTable } from "./colours";
import { element, formatScore } from "./elements";
import type { Look } from "./scoreLayer";
import type { State } from "./state";

/** Levels of the first and last colour: nearly the lowest and highest score; for chances, from zero. */
export function endsOf(scores: Scores, scale: string): [number, number] {
  if (scores.low === null || scores.high === null || scores.high <= scores.low) return [1, 255];
  const level = (score: number) => 1 + ((score - scores.low!) / (scores.high! - scores.low!)) * 254;
  if (scale === "contrast") return [level(0), level(Math.max(scores.high, 0.05))];
  if (scale === "percentile") return [1, 255];
  return [level(scores.p2 ?? scores.low), level(scores.p98 ?? scores.high)];
}

export function lookOf(scores: Scores, state: State): Look {
  const [low, high] = endsOf(scores, state.scale);
  const threshold = state.threshold > 0 ? low + state.threshold * (high - low) : 0;
  return { low, high, threshold, opacity: state.opacity };
}

export function drawLegend(scores: Scores | undefined, state: State): void {
  const canvas = element<HTMLCanvasElement>("legend-bar");
  const context = canvas.getContext("2d")!;
  const table = colourTable(state.colours);
  const image = context.createImageData(256, 12);
  for (let row = 0; row < 12; row++) {
    for (let column = 0; column < 256; column++) {
      const share = column / 255;
      const at = 4 * (row * 256 + column);
      image.data.set(table.subarray(4 * column, 4 * column + 4), at);
      image.data[at + 3] = share < state.threshold ? 40 : 255;
    }
  }
  context.putImageData(image, 0, 0);
  element("opacity-text").textContent = `${Math.round(state.opacity * 100)} %`;
  if (!scores || scores.low === null || scores.high === null) {
    for (const id of ["legend-title", "legend-low", "legend-high", "threshold-text"]) element(id).textContent = "";
    return;
  }
  const score = (level: number) => scores.low! + ((level - 1) / 254) * (scores.high! - scores.low!);
  const [low, high] = endsOf(scores, state.scale);
  element("legend-title").textContent = scores.unit ? `${scores.name} (${scores.unit})` : scores.name;
  element("legend-low").textContent = formatScore(score(low), state.scale);
  element("legend-high").textContent = formatScore(score(high), state.scale);
  const threshold = score(low + state.threshold * (high - low));
  element("threshold-text").textContent = state.threshold > 0 ? formatScore(threshold, state.scale) : "all";
}
