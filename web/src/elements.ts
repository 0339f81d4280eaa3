/** Small helpers for the page's elements. Text from people or the server is set as text, never as HTML. */

export function element<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element ${id}`);
  return found as T;
}

export function create<K extends keyof HTMLElementTagNameMap>(
  name: K,
  text = "",
  className = "",
): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

/** A score in three digits, with its unit where it has one. */
export function formatScore(score: number | null, scale: string): string {
  if (score === null) return "no data";
  if (scale === "percentile") return `${score.toFixed(0)} %`;
  return scale === "contrast" ? `${(score * 100).toFixed(score !== 0 && Math.abs(score) < 0.1 ? 1 : 0)} %` : score.toFixed(3);
}

export function onInput(id: string, change: (value: string) => void): void {
  element<HTMLInputElement>(id).addEventListener("input", (event) => change((event.target as HTMLInputElement).value));
}

export function onClick(id: string, act: () => void): void {
  element(id).addEventListener("click", act);
}
