/** Which panel is open: beside the map on a desk, below it on a phone. */

import { element, onClick } from "./elements";
import type { Panel } from "./state";

const TITLES: Record<Exclude<Panel, "">, string> = { places: "Best places", areas: "Areas", files: "Share", place: "Place" };
const NARROW = "(max-width: 60em)";

export function isNarrow(): boolean {
  return matchMedia(NARROW).matches;
}

/** Show a panel; with none, a phone shows the legend or the time, as `sheet` says. */
export function showPanel(panel: Panel): void {
  const page = element("page");
  element("panel").hidden = panel === "";
  if (panel) page.dataset["sheet"] = "panel";
  else if (page.dataset["sheet"] === "panel") page.dataset["sheet"] = "legend";
  for (const name of Object.keys(TITLES)) element(name).hidden = name !== panel;
  if (panel && panel !== "place") element("panel-title").textContent = TITLES[panel];
  showExpanded(panel);
}

function showExpanded(panel: Panel): void {
  const { sheet } = element("page").dataset;
  for (const name of ["places", "areas", "files"]) {
    element(`show-${name}`).setAttribute("aria-expanded", String(name === panel));
  }
  for (const name of ["legend", "time"]) {
    element(`show-${name}`).setAttribute("aria-expanded", String(sheet === name));
  }
}

export function wirePanels(openPanel: (panel: Panel) => void, current: () => Panel): void {
  for (const panel of ["places", "areas", "files"] as const) {
    onClick(`show-${panel}`, () => openPanel(current() === panel ? "" : panel));
  }
  for (const sheet of ["legend", "time"]) {
    onClick(`show-${sheet}`, () => {
      const page = element("page");
      page.dataset["sheet"] = page.dataset["sheet"] === sheet ? "none" : sheet;
      openPanel("");
    });
  }
  onClick("close", () => {
    const button = document.getElementById(`show-${current()}`);
    openPanel("");
    (button ?? element("prompt")).focus();
  });
}
