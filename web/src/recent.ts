/** Examples, and what was asked before in this browser, as buttons below the prompt. */

import { create, createButton, element } from "./elements";
import { hasExample } from "./examples";

const EXAMPLES = ["a busy street", "a quiet beach", "snow on the ground", "people skiing", "a field of crops"];
const STORED = "sat2cap-history";
const KEPT = 4;
const SHOWN = 7;

export function showChips(choose: (text: string) => void): void {
  const texts = [...new Set([...readRecent(), ...EXAMPLES])].slice(0, SHOWN);
  element("chips").replaceChildren(
    ...texts.map((text) => {
      const item = create("li");
      item.append(createButton(text, () => choose(text)));
      return item;
    }),
  );
}

function readRecent(): string[] {
  try {
    const past = JSON.parse(localStorage.getItem(STORED) ?? "[]") as unknown;
    return Array.isArray(past) ? past.filter((text): text is string => typeof text === "string").slice(0, KEPT) : [];
  } catch {
    return [];
  }
}

/** Keep a prompt that was finished; whether it is worth keeping. */
export function remember(prompt: string): boolean {
  const text = prompt.trim();
  if (text.length < 3 || hasExample(text)) return false;
  localStorage.setItem(STORED, JSON.stringify([text, ...readRecent().filter((other) => other !== text)].slice(0, KEPT)));
  return true;
}
