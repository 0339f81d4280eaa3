/** Keys that work anywhere on the page, and the help that lists them. */

import { element, onClick } from "./elements";

export interface KeyActions {
  /** Leave off whatever is going on: playing, drawing, an open panel. */
  leaveOff: () => void;
  /** Enter was pressed while the map has the focus. */
  enterOnMap: () => void;
  /** The space bar was pressed while the map has the focus. */
  spaceOnMap: () => void;
  isMap: (target: EventTarget | null) => boolean;
}

export function wireKeys(actions: KeyActions): void {
  const help = element<HTMLDialogElement>("help-dialog");
  onClick("show-help", () => help.showModal());
  onClick("help-close", () => help.close());
  help.addEventListener("click", (event) => {
    if (event.target === help) help.close(); // beside its content, which fills it
  });
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return; // Escape closes it
    if (event.key === "Escape") return actions.leaveOff();
    if (event.key === "Enter" && actions.isMap(event.target)) return actions.enterOnMap();
    if (event.key === " " && actions.isMap(event.target)) {
      event.preventDefault(); // or the page scrolls
      return actions.spaceOnMap();
    }
    if (isTyping(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "?") help.showModal();
    if (event.key !== "/") return;
    event.preventDefault();
    element<HTMLInputElement>("prompt").select();
    element("prompt").focus();
  });
}

/** Whether letters go into a field; a slider takes none. */
function isTyping(target: EventTarget | null): boolean {
  if (target instanceof HTMLInputElement) return !["range", "checkbox"].includes(target.type);
  return target instanceof HTMLSelectElement;
}
