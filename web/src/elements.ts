/** Small helpers for the page's elements. Text from people or the server is set as text, never as HTML. */

/** The element of that id, which the page has; another id is a mistake in this code. */
export function element<T extends HTMLElement = HTMLElement>(id: string): T {
  const match = document.getElementById(id);
  if (!match) throw new Error(`the page has no element ${id}`);
  return match as T;
}

/** A new element with a text and classes, which is not on the page yet. */
export function create<K extends keyof HTMLElementTagNameMap>(
  name: K,
  text = "",
  className = "",
): HTMLElementTagNameMap[K] {
  const created = document.createElement(name);
  created.textContent = text;
  if (className) created.className = className;
  return created;
}

/** A button with a text, which does something when it is pressed. */
export function createButton(text: string, act: () => void): HTMLButtonElement {
  const button = create("button", text);
  button.type = "button";
  button.addEventListener("click", act);
  return button;
}

/** Show the picture that a response holds; its memory is given back once it is decoded. */
export async function showPicture(picture: HTMLImageElement, response: Response): Promise<void> {
  picture.src = URL.createObjectURL(await response.blob());
  picture.addEventListener("load", () => URL.revokeObjectURL(picture.src), { once: true });
}

/** A text without the characters of markup, for the attributions that MapLibre sets as HTML. */
export function plainText(text: string): string {
  return text.replace(/[<>&"]/g, "");
}

/** A score in three digits, with its unit where it has one. */
export function formatScore(score: number | null, scale: string): string {
  if (score === null) return "no data";
  if (scale === "percentile") return `${score.toFixed(0)} %`;
  return scale === "contrast" ? `${(score * 100).toFixed(score !== 0 && Math.abs(score) < 0.1 ? 1 : 0)} %` : score.toFixed(3);
}

/** How far two scores lie apart, with its unit: shares and ranks differ by percentage points. */
export function formatDifference(difference: number | null, scale: string): string {
  const text = formatScore(difference, scale);
  return scale === "cosine" ? text : text.replace(" %", " percentage points");
}

export function onInput(id: string, change: (value: string) => void): void {
  element<HTMLInputElement>(id).addEventListener("input", (event) => change((event.target as HTMLInputElement).value));
}

export function onClick(id: string, act: () => void): void {
  element(id).addEventListener("click", act);
}
