/** Asking for maps: the newest question wins, and a slider that moves on does not starve. */

import type { Box, Question, Scores } from "./api";
import { readScores } from "./api";
import type { Questions } from "./questions";

export interface Shown {
  scores: Scores;
  /** The map on the other side of the border; null without one. */
  beside: Scores | null;
  /** The part that was asked for; null for the whole atlas. */
  part: Box | null;
}

export class MapRequests {
  private pending = new AbortController();
  private running: Promise<void> | null = null;
  private isQueued = false;

  /** `send` asks for the map of the state as it then is, and shows it. */
  constructor(private readonly send: (signal: AbortSignal) => Promise<void>) {}

  /** Drop what was asked before, and ask now. */
  now(): Promise<void> {
    this.pending.abort();
    this.pending = new AbortController();
    const run = this.send(this.pending.signal);
    this.running = run;
    void run.finally(() => {
      if (this.running === run) this.running = null;
    });
    return run;
  }

  /** Ask when the request under way has been shown; several of these become one. */
  async inTurn(): Promise<void> {
    if (!this.running) return this.now();
    if (this.isQueued) return this.running;
    this.isQueued = true;
    await this.running;
    this.isQueued = false;
    return this.now();
  }
}

/** Read the maps of the questions from the server: all cells, or those in a part. */
export async function readMaps({ main, beside }: Questions, part: Box | null, signal: AbortSignal): Promise<Shown> {
  const read = (question: Question) => readScores(question, part, signal);
  const [scores, second] = await Promise.all([read(main), beside ? read(beside) : null]);
  return { scores, beside: second, part };
}
