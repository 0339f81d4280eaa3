/** The plain sentence above the map. */

import type { Atlas, Scores } from "./api";

/** How many cells have a chance of at least one half that a photo there fits, as a share of those with data. */
function shareThatFits(scores: Scores): number {
  const half = 1 + ((0.5 - scores.low!) / (scores.high! - scores.low! || 1)) * 254;
  let fitting = 0;
  let all = 0;
  for (const level of scores.levels) {
    if (level === 0) continue;
    all++;
    if (level >= half) fitting++;
  }
  return all ? fitting / all : 0;
}

export function answerOf(scores: Scores, atlas: Atlas, scale: string): string {
  if (scores.low === null || scores.high === null) return "No cell of this atlas has data.";
  const warning = scores.warning ? ` The date is ${scores.warning}.` : "";
  if (scale !== "contrast") return warning.trim();
  if (atlas.nonsense_chance !== null && scores.high <= atlas.nonsense_chance) {
    return `Nothing here looks like this: no chance is above what words without meaning reach.${warning}`;
  }
  const share = shareThatFits(scores);
  if (share === 0) {
    return `No cell is likelier than not to show this; the best reaches ${Math.round(scores.high * 100)} %.${warning}`;
  }
  const percent = share * 100;
  return `${percent < 1 ? percent.toFixed(2) : percent.toFixed(0)} % of the region is likelier than not to show this.${warning}`;
}
