/** Two maps: side by side with a border that moves, or one taken off the other. */

import { hourText, MONTHS, shortDate } from "./dates";
import { create, element, onClick, onInput } from "./elements";
import type { Page } from "./page";
import { questionsOf } from "./questions";
import type { State } from "./state";

const THUMB_PX = 40;

export class CompareControls {
  constructor(private readonly page: Page) {
    const { state } = page;
    fill("second-month", ["same date", ...MONTHS.slice(1)].map((text, month) => [String(month), text]));
    fill("second-hour", [["", "same hour"], ...[...Array(24).keys()].map((hour) => [String(hour), hourText(hour)])]);
    onClick("compare", () => this.toggle());
    onInput("second", (value) => {
      state.second = value;
      void page.ask();
    });
    onInput("second-month", (value) => this.change({ secondMonth: Number(value) }));
    onInput("second-hour", (value) => this.change({ secondHour: value === "" ? null : Number(value) }));
    onClick("show-swipe", () => this.change({ difference: false }));
    onClick("show-difference", () => this.change({ difference: true }));
    onInput("swipe", (value) => {
      state.border = Number(value) / 100;
      page.applyLook();
    });
    for (const id of ["second", "swipe"]) element(id).addEventListener("change", () => page.commit());
    new ResizeObserver(() => this.show()).observe(element("stage"));
  }

  /** Where the border is, as a share of the map's width; 1 where there is none. */
  get border(): number {
    const { state, atlas } = this.page;
    if (!questionsOf(state, atlas)?.beside) return 1;
    const width = element("stage").clientWidth || 1;
    return (THUMB_PX / 2 + state.border * (width - THUMB_PX)) / width; // the middle of the slider's thumb
  }

  show(): void {
    const { state, atlas } = this.page;
    element<HTMLInputElement>("second").value = state.second ?? "";
    element<HTMLSelectElement>("second-month").value = String(state.secondMonth);
    element<HTMLSelectElement>("second-hour").value = state.secondHour === null ? "" : String(state.secondHour);
    element<HTMLInputElement>("swipe").value = String(100 * state.border);
    const isOn = state.second !== null;
    element("second-row").hidden = !isOn;
    element("compare").setAttribute("aria-pressed", String(isOn));
    element("show-swipe").setAttribute("aria-pressed", String(!state.difference));
    element("show-difference").setAttribute("aria-pressed", String(state.difference));
    for (const id of ["second-month", "second-hour"]) element(id).hidden = !atlas?.knows_time;
    element<HTMLSelectElement>("second-hour").disabled = !state.month && !state.secondMonth;
    this.showBorder();
  }

  showBorder(): void {
    const border = this.border;
    for (const id of ["swipe", "divider"]) element(id).hidden = border === 1;
    element("divider").style.left = `${100 * border}%`;
    if (border !== 1) this.nameSides();
  }

  /** Say on both sides of the border what is shown there: the prompts, or the dates of one prompt. */
  private nameSides(): void {
    const { main, beside } = questionsOf(this.page.state, this.page.atlas) ?? {};
    if (!main || !beside) return;
    const isOnePrompt = main.prompt === beside.prompt;
    for (const [id, side] of [["tag-left", main], ["tag-right", beside]] as const) {
      element(id).textContent = isOnePrompt ? shortDate(side.when) : side.prompt;
    }
  }

  toggle(): void {
    const { state } = this.page;
    this.change({ second: state.second === null ? "" : null });
    if (state.second !== null) element("second").focus();
  }

  private change(some: Partial<State>): void {
    Object.assign(this.page.state, some);
    this.show();
    void this.page.ask();
    this.page.commit();
  }
}

function fill(id: string, options: string[][]): void {
  element(id).replaceChildren(
    ...options.map(([value, text]) => {
      const option = create("option", text);
      option.value = value!;
      return option;
    }),
  );
}
