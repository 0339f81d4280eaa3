/** The sliders of month and hour, and their play buttons. */

import { hourText, MONTHS } from "./dates";
import { create, element, onInput } from "./elements";
import type { Page } from "./page";

/** Least time between two maps while playing; a server that takes longer is waited for. */
const PLAY_MS = { month: 250, hour: 100 };

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

export class TimeControls {
  private playing: "month" | "hour" | null = null;

  constructor(private readonly page: Page) {
    const marks = (id: string, texts: string[]) => element(id).replaceChildren(...texts.map((text) => create("span", text)));
    marks("month-marks", ["–", ..."JFMAMJJASOND"]);
    marks("hour-marks", ["0", "6", "12", "18", "23"]);
    onInput("month", (value) => void this.set(Number(value), page.state.hour));
    onInput("hour", (value) => void this.set(page.state.month, Number(value)));
    for (const kind of ["month", "hour"] as const) {
      element(kind).addEventListener("change", () => page.commit());
      element(`play-${kind}`).addEventListener("click", () => (this.playing === kind ? this.stop() : void this.play(kind)));
    }
  }

  show(): void {
    const { month, hour } = this.page.state;
    const [monthSlider, hourSlider] = [element<HTMLInputElement>("month"), element<HTMLInputElement>("hour")];
    monthSlider.value = String(month);
    hourSlider.value = String(hour);
    hourSlider.disabled = month === 0;
    element("month-text").textContent = MONTHS[month] ?? "";
    element("hour-text").textContent = month ? hourText(hour) : "any hour";
    monthSlider.setAttribute("aria-valuetext", MONTHS[month] ?? "");
    hourSlider.setAttribute("aria-valuetext", hourText(hour));
  }

  stop(): void {
    this.playing = null;
    for (const kind of ["month", "hour"]) {
      element(`play-${kind}`).setAttribute("aria-pressed", "false");
    }
    this.page.commit();
  }

  get isPlaying(): boolean {
    return this.playing !== null;
  }

  private set(month: number, hour: number): Promise<void> {
    Object.assign(this.page.state, { month, hour });
    this.show();
    return this.page.askInTurn();
  }

  private async play(kind: "month" | "hour"): Promise<void> {
    if (this.playing) this.stop();
    this.playing = kind;
    element(`play-${kind}`).setAttribute("aria-pressed", "true");
    while (this.playing === kind) {
      const { month, hour } = this.page.state;
      const next = kind === "month" ? this.set((month % 12) + 1, hour) : this.set(month || 6, (hour + 1) % 24);
      await Promise.all([next, pause(PLAY_MS[kind])]);
    }
  }
}
