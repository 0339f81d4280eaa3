/** The answer in words above the map: what the scores say at once, and what takes further requests when the page rests. */

import { answerFromChance, answerFromScores, warningOf } from "./answer";
import type { Question, Scores } from "./api";
import { readScores } from "./api";
import type { Nonsense } from "./nonsense";
import type { Page } from "./page";
import type { Questions } from "./questions";
import { needsChance } from "./questions";
import { hasFailed, say } from "./status";

export class AnswerLine {
  constructor(
    private readonly page: Page,
    private readonly nonsense: Nonsense,
  ) {}

  /** Say what the maps in view tell without another request. */
  sayAtOnce(questions: Questions): void {
    const { atlas, shown } = this.page;
    if (isOfChances(questions.main, shown!.scores)) this.sayChances(questions);
    else if (!needsChance(questions.main, atlas!)) {
      say(answerFromScores(shown!.scores, questions.main) + warningOf(shown!.scores));
    }
  }

  /** Ask for what the answer still lacks: the chances of a map of another scale, and what nonsense reaches. */
  async complete(questions: Questions, signal: AbortSignal): Promise<void> {
    const { atlas, shown } = this.page;
    if (needsChance(questions.main, atlas!)) await this.sayChance(questions.main, signal);
    else if (shown && isOfChances(questions.main, shown.scores)) await this.learnNonsense(questions, signal);
  }

  /** Say what the chances of the map mean; of two maps, what those of each mean. */
  private sayChances({ main, beside }: Questions): void {
    const shown = this.page.shown!;
    const left = this.answerOf(main, shown.scores);
    const warning = warningOf(shown.scores);
    if (!beside || !shown.beside) return say(left + warning);
    const right = this.answerOf(beside, shown.beside);
    say(`On the left, ${withinSentence(left)} On the right, ${withinSentence(right)}${warning}`);
  }

  private answerOf(question: Question, chance: Scores): string {
    return answerFromChance(chance, this.page.atlas!, this.nonsense.at(question.atlas, question.when));
  }

  /** Learn what nonsense reaches at the dates of the maps, and say and show them in its light. */
  private async learnNonsense(questions: Questions, signal: AbortSignal): Promise<void> {
    const { main, beside } = questions;
    const dates = new Set([main.when, (beside ?? main).when]);
    const isNew = await Promise.all([...dates].map((when) => this.nonsense.learn(main.atlas, when).catch(() => false)));
    if (!isNew.includes(true) || signal.aborted || !this.page.shown) return;
    this.page.applyLook();
    if (!hasFailed()) this.sayChances(questions);
  }

  /** Ask for the chances of a map that shows another scale, and say what they mean. */
  private async sayChance(question: Question, signal: AbortSignal): Promise<void> {
    const part = this.page.shown?.part ?? null;
    const chance = await readScores({ ...question, scale: "contrast" }, part, signal).catch(() => null);
    await this.nonsense.learn(question.atlas, question.when).catch(() => false);
    const { shown } = this.page;
    if (signal.aborted || !shown || hasFailed()) return;
    const sentence = chance ? this.answerOf(question, chance) : answerFromScores(shown.scores, question);
    say(sentence + warningOf(shown.scores, chance ?? shown.scores));
  }
}

function isOfChances(question: Question, scores: Scores): boolean {
  return question.scale === "contrast" && scores.centred !== true;
}

function withinSentence(sentence: string): string {
  return sentence.charAt(0).toLowerCase() + sentence.slice(1);
}
