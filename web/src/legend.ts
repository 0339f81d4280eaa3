/** The legend: how many cells have which score, the colours in use, the values at them, the threshold. */

import { isBelowNonsense } from "./answer";
import type { Scores } from "./api";
import { colourAt, colourName, colourTable } from "./colours";
import { countLevels } from "./counts";
import { create, element, formatDifference, formatScore } from "./elements";
import type { Look } from "./scoreLayer";
import type { State } from "./state";

/** Lowest and highest score that have a colour of their own. */
export type Range = [low: number, high: number];

const BINS = 64;
const TICKS = 4;
/** Share of the bar that a label takes. */
const TICK_ROOM = 0.16;
const LEAST_CHANCE = 0.05;

/** The scores of the first and last colour: nearly the lowest and highest; of chances from 0, of differences around 0. */
export function rangeOf(scores: Scores, scale: string, nonsense: number | null): Range | null {
  if (scores.low === null || scores.high === null) return null;
  const [low, high] = [scores.p2 ?? scores.low, scores.p98 ?? scores.high];
  if (scores.centred) {
    const most = Math.max(Math.abs(low), Math.abs(high)) || scores.high || 1e-6;
    return [-most, most];
  }
  // what words without meaning reach as well must not light up
  if (scale === "contrast") return [0, isBelowNonsense(scores, nonsense) ? 1 : Math.max(scores.high, LEAST_CHANCE)];
  if (scale === "percentile") return [scores.low, scores.high];
  return [low, high];
}

/** A range that holds both, so that two maps beside each other can be compared. */
export function commonRange(first: Range | null, second: Range | null): Range | null {
  if (!first || !second) return first ?? second;
  return [Math.min(first[0], second[0]), Math.max(first[1], second[1])];
}

/** What the threshold is in scores; of a difference, how large a change is. */
export function thresholdOf([low, high]: Range, isCentred: boolean, share: number): number {
  return isCentred ? high * share : low + share * (high - low);
}

export function lookOf(scores: Scores, range: Range, state: State): Look {
  const span = scores.high! - scores.low!;
  const level = (score: number) => (span > 0 ? 1 + ((score - scores.low!) / span) * 254 : score > scores.low! ? 256 : 1);
  const isCentred = scores.centred === true;
  const threshold = thresholdOf(range, isCentred, state.threshold);
  return {
    low: level(range[0]),
    high: level(range[1]),
    threshold: state.threshold > 0 ? (isCentred ? (threshold / span) * 254 : level(threshold)) : 0,
    centre: isCentred ? 128 : 0,
    opacity: scores.says_nothing && !state.anyway ? 0 : state.opacity,
  };
}

export function drawLegend(scores: Scores | undefined, range: Range | null, state: State): void {
  const table = colourTable(colourName(state.colours, scores?.centred === true));
  element("legend-title").textContent = titleOf(scores, state);
  const colours = element<HTMLSelectElement>("colours");
  colours.disabled = scores?.centred === true;
  colours.title = colours.disabled ? "A difference has colours of its own" : "Colours; all are safe for colour-blind eyes";
  drawBar(table, scores, range, state);
  drawTicks(range, state.scale);
  const opacity = `${Math.round(state.opacity * 100)} %`;
  element("opacity").setAttribute("aria-valuetext", opacity);
  element("opacity-text").textContent = opacity;
  const text = describeThreshold(scores, range, state);
  element("threshold-text").textContent = text;
  element("threshold").setAttribute("aria-valuetext", text);
}

function titleOf(scores: Scores | undefined, state: State): string {
  if (!scores) return "Score";
  if (scores.centred) return "Difference";
  if (state.scale === "contrast") return "Chance to see this";
  return state.scale === "percentile" ? "Rank within the region" : "Similarity";
}

function describeThreshold(scores: Scores | undefined, range: Range | null, state: State): string {
  if (!scores || !range) return "Dark cells hardly fit, bright cells fit well.";
  if (scores.says_nothing && !state.anyway) return "No cell is shown, as there is nothing to see.";
  if (state.threshold === 0) return `All cells are shown; drag the handle to keep the ${scores.centred ? "largest differences" : "best"}.`;
  const threshold = thresholdOf(range, scores.centred === true, state.threshold);
  if (scores.centred) return `Only differences of at least ${formatDifference(threshold, state.scale)} are shown.`;
  return `Only cells of at least ${formatScore(threshold, state.scale)} are shown.`;
}

/** Draw the histogram of the scores, and below it the bar of colours; what the threshold leaves out is pale. */
function drawBar(table: Uint8Array, scores: Scores | undefined, range: Range | null, state: State): void {
  const canvas = element<HTMLCanvasElement>("legend-bar");
  const ratio = window.devicePixelRatio || 1;
  const width = (canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio)));
  const height = (canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio)));
  const context = canvas.getContext("2d")!;
  const bar = Math.round(height * 0.2);
  const isShown = (share: number) => (scores?.centred ? Math.abs(2 * share - 1) : share) >= state.threshold;
  for (let column = 0; column < width; column++) {
    const share = column / Math.max(width - 1, 1);
    context.globalAlpha = isShown(share) ? 1 : 0.2;
    context.fillStyle = colourAt(table, share);
    context.fillRect(column, height - bar, 1, bar);
  }
  const ink = getComputedStyle(canvas).color;
  const counts = scores && range ? countScores(scores, range) : [];
  const most = Math.max(...counts, 1);
  counts.forEach((count, bin) => {
    const tall = Math.ceil(Math.sqrt(count / most) * (height - bar - 4));
    context.globalAlpha = isShown((bin + 0.5) / BINS) ? 0.55 : 0.15;
    context.fillStyle = ink;
    context.fillRect(Math.floor((bin * width) / BINS), height - bar - 2 - tall, Math.max(1, Math.floor(width / BINS) - ratio), tall);
  });
}

/** How many cells have a score in each of `BINS` even steps of a range; those beyond count in its ends. */
export function countScores(scores: Scores, [low, high]: Range): number[] {
  const counts = countLevels(scores);
  const bins = new Array<number>(BINS).fill(0);
  for (let level = 1; level < 256; level++) {
    const score = scores.low! + ((level - 1) / 254) * (scores.high! - scores.low!);
    const bin = Math.floor(((score - low) / (high - low || 1)) * BINS);
    bins[Math.min(Math.max(bin, 0), BINS - 1)]! += counts[level]!;
  }
  return bins;
}

function drawTicks(range: Range | null, scale: string): void {
  const ticks = element("legend-ticks");
  ticks.replaceChildren();
  if (!range) return;
  for (const [score, share] of placeTicks(range)) {
    const label = create("span", formatScore(score, scale));
    label.className = share === 0 ? "first" : share === 1 ? "last" : "";
    label.style.left = `${100 * share}%`;
    ticks.append(label);
  }
}

/** Round numbers to label a range with, and its two ends: each with its place, 0 to 1. */
export function placeTicks([low, high]: Range): [score: number, share: number][] {
  if (!(high > low)) return [[low, 0]];
  const rough = (high - low) / TICKS;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = unit * ([1, 2, 2.5, 5, 10].find((factor) => factor * unit >= rough) ?? 10);
  const ticks: [number, number][] = [[low, 0]];
  for (let count = Math.ceil(low / step); count * step < high; count++) {
    const share = (count * step - low) / (high - low);
    if (share > TICK_ROOM && share < 1 - TICK_ROOM) ticks.push([count * step, share]);
  }
  return [...ticks, [high, 1]];
}
