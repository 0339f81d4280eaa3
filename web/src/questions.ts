/** What the server is asked for, from the state of the page: one map, two side by side, or a difference. */

import type { Atlas, Question } from "./api";
import { dateText, momentOf } from "./dates";
import { hasExample } from "./examples";
import type { State } from "./state";

export interface Questions {
  /** The question of the map, or of the map on the left of the border. */
  main: Question;
  /** The question of the map on the right of the border; null without one. */
  beside: Question | null;
}

/** What the state asks of an atlas; null without a prompt. */
export function questionsOf(state: State, atlas: Atlas | undefined): Questions | null {
  const prompt = state.prompt.trim();
  if (!atlas || !prompt) return null;
  const when = atlas.knows_time ? momentOf(state.month, state.hour, atlas.years) : null;
  const first: Question = { atlas: atlas.id, prompt, when, scale: state.scale, minus: null, minusWhen: null };
  const second = secondQuestion(first, state, atlas.years);
  if (second && state.difference) return { main: differenceOf(first, second), beside: null };
  return { main: first, beside: second };
}

/** The question of the second map; null where nothing is compared, or where it would be the first map again. */
function secondQuestion(first: Question, state: State, years: [number, number] | null): Question | null {
  if (state.second === null) return null;
  const prompt = state.second.trim() || first.prompt;
  const when = secondDate(first, state, years);
  return prompt === first.prompt && when === first.when ? null : { ...first, prompt, when };
}

/** The date of the second map: its month and hour, each that of the first map where the second has none of its own. */
function secondDate(first: Question, state: State, years: [number, number] | null): string | null {
  if (state.secondMonth) return momentOf(state.secondMonth, state.secondHour ?? state.hour, years);
  return first.when && state.secondHour !== null ? momentOf(state.month, state.secondHour, years) : first.when;
}

/** The question of the first map less the second. */
function differenceOf(first: Question, second: Question): Question {
  return {
    ...first,
    minus: second.prompt === first.prompt ? null : second.prompt,
    minusWhen: second.when === first.when ? null : second.when,
  };
}

export function isDifference(question: Question): boolean {
  return question.minus !== null || question.minusWhen !== null;
}

/** Whether the answer in words needs chances that the map does not hold: of a calibrated model, on another scale. */
export function needsChance(question: Question, atlas: Atlas): boolean {
  if (isDifference(question) || question.scale === "contrast") return false;
  return atlas.calibrated && !hasExample(question.prompt);
}

/** What the map is of, as far as the prompt box does not say it: the date, and the two sides of a difference. */
export function describeQuestion(question: Question | null, atlas: Atlas): string {
  if (!question) return "";
  if (question.minusWhen) return `${dateText(question.when)} minus ${dateText(question.minusWhen)}`;
  const date = atlas.knows_time ? dateText(question.when) : "";
  return question.minus ? `“${question.prompt}” minus “${question.minus}”${date && `, ${date}`}` : date;
}
