/** What words without meaning reach at a date: chances that do not exceed it say nothing. */

import { readNonsenseChance } from "./api";

export class Nonsense {
  private readonly chances = new Map<string, number | null>();
  private latest: number | null = null;

  /** The chance at a date; that of the date before it as long as it is not learnt, and null without any. */
  at(atlas: string, when: string | null): number | null {
    const chance = this.chances.get(keyOf(atlas, when));
    return chance === undefined ? this.latest : chance;
  }

  forget(): void {
    this.latest = null;
  }

  /** Ask the server, unless the date was asked for before; whether there is something new. */
  async learn(atlas: string, when: string | null): Promise<boolean> {
    const key = keyOf(atlas, when);
    const isNew = !this.chances.has(key);
    if (isNew) this.chances.set(key, await readNonsenseChance(atlas, when));
    this.latest = this.chances.get(key) ?? null;
    return isNew;
  }
}

function keyOf(atlas: string, when: string | null): string {
  return JSON.stringify([atlas, when]);
}
