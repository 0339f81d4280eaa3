/** The key of a server that asks for one: asked for once, kept in this tab only, sent in a header and never in an address. */

import { element } from "./elements";

const STORED = "sat2cap-key";
let dialogue: Promise<string | null> | null = null;

/** The headers that requests for data bring. */
export function keyHeaders(): Record<string, string> {
  const key = sessionStorage.getItem(STORED);
  return key ? { "X-API-Key": key } : {};
}

export function hasKey(): boolean {
  return sessionStorage.getItem(STORED) !== null;
}

/** Ask for the key; null if that was declined. Requests that are refused at the same time share one dialogue. */
export function askKey(): Promise<string | null> {
  dialogue ??= openDialogue().finally(() => (dialogue = null));
  return dialogue;
}

function openDialogue(): Promise<string | null> {
  const dialog = element<HTMLDialogElement>("key-dialog");
  const input = element<HTMLInputElement>("key");
  element("key-problem").textContent = hasKey() ? "This key was not accepted; check it and try again." : "";
  input.value = "";
  dialog.showModal();
  return new Promise((resolve) => {
    const finish = (key: string | null) => {
      dialog.onclose = null;
      dialog.close();
      if (key) sessionStorage.setItem(STORED, key);
      resolve(key);
    };
    element<HTMLFormElement>("key-form").onsubmit = (event) => {
      event.preventDefault();
      finish(input.value.trim() || null);
    };
    element("key-cancel").onclick = () => finish(null);
    dialog.onclose = () => finish(null); // the escape key
  });
}
