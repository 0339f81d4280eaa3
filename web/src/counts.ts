/** How many cells have each level. */

import type { Scores } from "./api";

const counted = new WeakMap<Scores, Uint32Array>();

/** The number of cells of each of the 256 levels; counted once for each map. */
export function countLevels(scores: Scores): Uint32Array {
  let counts = counted.get(scores);
  if (!counts) {
    counts = new Uint32Array(256);
    for (const level of scores.levels) counts[level]!++;
    counted.set(scores, counts);
  }
  return counts;
}
