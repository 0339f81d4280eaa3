/** The plain sentence above the map. */

import type { Atlas, Question, Scores } from "./api";
import { countLevels } from "./counts";
import { dateText } from "./dates";
import { formatDifference, formatScore } from "./elements";

/** Share of the cells with data whose score is at least `least`, 0 to 1. */
export function shareFrom(scores: Scores, least: number): number {
  const leastLevel = 1 + ((least - scores.low!) / (scores.high! - scores.low! || 1)) * 254;
  const counts = countLevels(scores).slice(1);
  const sum = (numbers: ArrayLike<number>) => Array.from(numbers).reduce((total, count) => total + count, 0);
  const all = sum(counts);
  return all ? sum(counts.filter((_, index) => index + 1 >= leastLevel)) / all : 0;
}

function percentOf(share: number): string {
  const percent = share * 100;
  return `${percent >= 1 ? percent.toFixed(0) : percent >= 0.01 ? percent.toFixed(2) : "less than 0.01"} %`;
}

const LIKELY = 0.5;
const NOTHING = "Nothing here looks like this: to the model these words say no more than words without meaning.";

/** Whether no chance is likely, nor above what words without meaning reach. */
export function isBelowNonsense(chance: Scores, nonsense: number | null): boolean {
  return nonsense !== null && chance.high !== null && chance.high <= nonsense && chance.high < LIKELY;
}

/** How much of the region fits, from chances; "nothing here" where no chance is above what nonsense reaches. */
export function answerFromChance(chance: Scores, atlas: Atlas, nonsense: number | null): string {
  if (chance.low === null || chance.high === null) return "No cell of this region has data.";
  if (chance.says_nothing) return NOTHING;
  if (isBelowNonsense(chance, nonsense)) return "Nothing here clearly looks like this: words without meaning reach chances as high.";
  const share = shareFrom(chance, LIKELY);
  const place = chance.offset && chance.levels.length < atlas.grid.shape[0] * atlas.grid.shape[1] ? "what is in view" : "the region";
  if (share === 0) {
    return `Rarely, if at all: the best place has a chance of ${formatScore(chance.high, "contrast")}.`;
  }
  return `About ${percentOf(share)} of ${place} would probably show this.`;
}

/** What can be said without chances: of a difference, of ranks, or of a model that is not calibrated. */
export function answerFromScores(scores: Scores, question: Question): string {
  const { scale } = question;
  if (scores.low === null || scores.high === null) return "No cell of this region has data.";
  if (scores.centred) {
    if (scores.says_nothing) return NOTHING;
    if (scores.high < 1e-6) return "The two maps are the same.";
    return `${sidesOf(question)}; the largest difference is ${formatDifference(scores.high, scale)}.`;
  }
  if (scale === "percentile") return "Every cell is ranked within this region; 100 % is the best of them. A rank is not a chance.";
  const [low, high] = [formatScore(scores.low, scale), formatScore(scores.high, scale)];
  return `Similarities run from ${low} to ${high}. They rank places; they are not chances.`;
}

/** What the two colours of a difference stand for: prompts, dates, or both. */
function sidesOf({ prompt, when, minus, minusWhen }: Question): string {
  if (minus !== null && minusWhen !== null) return "Red cells fit the first map better, blue cells the second";
  if (minus !== null) return `Red cells fit “${prompt}” better, blue cells “${minus}”`;
  const at = (moment: string | null) => (moment ? `on ${dateText(moment)}` : "without a date");
  return `Red cells fit better ${at(when)}, blue cells ${at(minusWhen)}`;
}

/** The warnings about the date, chances that few photos speak for and an unfinished atlas, as sentences after the answer. */
export function warningOf(scores: Scores, chance: Scores = scores): string {
  const date = scores.warning ? ` The date is ${scores.warning}.` : "";
  const few = chance.few_photos ?? "";
  return date + asSentence(few) + asSentence(scores.unfinished ?? "");
}

/** Words of the server as a sentence that follows another; empty for none. */
export function asSentence(words: string): string {
  return words && ` ${words.charAt(0).toUpperCase()}${words.slice(1)}.`;
}
