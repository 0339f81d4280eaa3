/** Following atlases that are still being made, or cannot be used yet, until they are there. */

import type { AtlasSummary } from "./api";
import { listAtlases } from "./api";

const WATCH_MS = 5000;

export class AtlasWatch {
  private known = "";
  private isSettled = true;
  private timer = 0;

  /** `onChange` is told of the list of atlases whenever it has become another one. */
  constructor(private readonly onChange: (atlases: AtlasSummary[]) => void) {
    window.addEventListener("focus", () => void this.look()); // timers of a page in the background are slow
  }

  /** Ask for the list again and again, for as long as one of these atlases is not finished. */
  follow(atlases: AtlasSummary[]): void {
    this.known = JSON.stringify(atlases);
    this.isSettled = atlases.every((entry) => entry.problem === null && !entry.unfinished);
    clearTimeout(this.timer);
    if (!this.isSettled) this.timer = window.setTimeout(() => void this.look(), WATCH_MS);
  }

  private async look(): Promise<void> {
    if (this.isSettled) return;
    const before = this.known;
    const atlases = await listAtlases().catch(() => JSON.parse(before) as AtlasSummary[]); // asked again later
    if (this.known !== before) return; // another look was quicker
    this.follow(atlases);
    if (this.known !== before) this.onChange(atlases);
  }
}
