/** The page's address: kept in step with the state, with an entry of the browser's history for each state to come back to. */

import { readState, type State, writeState } from "./state";

export class Address {
  private isFinished = false;

  constructor(private readonly state: State) {}

  /** The state is one to come back to: the next change of it becomes a new entry of the history. */
  commit(): void {
    this.isFinished = true;
  }

  /** Write the state into the address; a finished state stays behind in the history when what it shows changes. */
  write(): void {
    const hash = writeState(this.state);
    if (this.isFinished && withoutView(location.hash) !== withoutView(hash)) {
      this.isFinished = false;
      history.pushState(null, "", hash);
    } else {
      history.replaceState(null, "", hash);
    }
    const prompt = this.state.prompt.trim();
    document.title = prompt ? `${prompt} · sat2cap` : "sat2cap";
  }
}

/** An address without where the map looks, which alone makes no entry of the history. */
function withoutView(hash: string): string {
  return writeState({ ...readState(hash), lon: null, lat: null, zoom: null });
}
