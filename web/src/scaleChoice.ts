/** The scale of the scores: the one chosen, or ranks for as long as the prompt has no chance. */

import type { Atlas } from "./api";
import { element } from "./elements";
import { hasExample } from "./examples";
import type { State } from "./state";

export class ScaleChoice {
  /** Whether the scale was changed for a prompt that has no chance, and goes back after it. */
  private isLent = false;

  constructor(private readonly state: State) {}

  /** Take the scale that somebody chose. */
  choose(scale: string): void {
    this.state.scale = scale;
    this.isLent = false;
  }

  /** Take chances where the address names no scale, and similarities where the model has no chances. */
  begin(atlas: Atlas): void {
    const { state } = this;
    const isMissing = state.scale === "contrast" && !atlas.calibrated;
    if (!state.scale || isMissing) state.scale = atlas.calibrated ? "contrast" : "cosine";
    this.offerChances(atlas.calibrated);
  }

  /** Take ranks for a prompt by example, which has no chance, and chances again after it. */
  settle(atlas: Atlas | undefined): void {
    const { state } = this;
    const hasNoChance = hasExample(state.prompt) || hasExample(state.second ?? "");
    if (hasNoChance && state.scale === "contrast") [state.scale, this.isLent] = ["percentile", true];
    else if (!hasNoChance && this.isLent) [state.scale, this.isLent] = ["contrast", false];
    element<HTMLSelectElement>("scale").value = state.scale;
    this.offerChances(!hasNoChance && atlas?.calibrated === true);
  }

  private offerChances(isPossible: boolean): void {
    element("scale").querySelector<HTMLOptionElement>("[value=contrast]")!.disabled = !isPossible;
  }
}
