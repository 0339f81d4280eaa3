/** What the page is doing, and the sentence above the map. */

import { element } from "./elements";

/** The style, and whoever drives the page, read it from `data-state`. */
export type Doing = "opening" | "empty" | "loading" | "ready" | "error" | "offline";

export function currentlyDoing(): Doing {
  return element("page").dataset["state"] as Doing;
}

/** Show what the page is doing; `canRetry` offers to try again after an error. */
export function setDoing(doing: Doing, canRetry = doing === "error"): void {
  element("page").dataset["state"] = doing;
  element("page").setAttribute("aria-busy", String(doing === "loading" || doing === "opening"));
  element("retry").hidden = !canRetry;
}

/** Whether the page tells of a failure, such as a photo that was refused: what comes late does not replace it. */
export function hasFailed(): boolean {
  return ["error", "offline"].includes(currentlyDoing());
}

/** Show a sentence above the map; the same one again is not read out twice. */
export function say(sentence: string): void {
  const answer = element("answer");
  if (answer.textContent !== sentence) answer.textContent = sentence;
}
