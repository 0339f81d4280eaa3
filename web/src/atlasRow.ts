/** Which region is shown: its name and size, and a choice where the server has several. */

import type { Atlas, AtlasSummary } from "./api";
import { create, element } from "./elements";

/** List the atlases of the server; those that cannot be used cannot be chosen, and say why under the pointer. */
export function listAtlasChoices(atlases: AtlasSummary[], chosen: string): void {
  const hasChoice = atlases.length > 1;
  element("atlas").hidden = !hasChoice;
  element("atlas-name").hidden = hasChoice;
  element("atlas").replaceChildren(
    ...atlases.map((entry) => {
      const option = create("option", entry.problem ? `${entry.title} (cannot be used)` : entry.title);
      option.value = entry.id;
      option.title = entry.problem ?? "";
      option.disabled = entry.problem !== null;
      option.selected = entry.id === chosen;
      return option;
    }),
  );
}

/** A sentence on why the atlas of a link is not the one in view; empty where it is, or where no link names one. */
export function explainOtherAtlas(atlases: AtlasSummary[], wanted: string, chosen: AtlasSummary): string {
  if (!wanted || wanted === chosen.id) return "";
  const entry = atlases.find((one) => one.id === wanted);
  const reason = entry ? `“${entry.title}” cannot be used (${entry.problem ?? ""})` : `This server has no region “${wanted}”`;
  return `${reason}, so “${chosen.title}” is shown instead.`;
}

/** The atlas of that identifier, or else the first one, among those that can be used. */
export function usableAtlas(atlases: AtlasSummary[], id: string): AtlasSummary | undefined {
  const usable = atlases.filter((entry) => entry.problem === null);
  return usable.find((entry) => entry.id === id) ?? usable[0];
}

/** Say what the atlas in view is called, how large it is, and whether more of it is to come. */
export function describeAtlasRow(atlas: Atlas): void {
  element<HTMLSelectElement>("atlas").value = atlas.id;
  element("atlas-name").textContent = atlas.title;
  const cells = `${atlas.cells.toLocaleString("en")} cells of ${lengthText(atlas.grid.cell_m)}`;
  element("atlas-facts").textContent = atlas.unfinished ? `${cells}, not all of them computed yet` : cells;
}

/** A length in metres as people read it: `480 m`, `1.5 km`. */
function lengthText(metres: number): string {
  const number = (value: number) => Number(value.toPrecision(3)).toLocaleString("en");
  return metres < 1000 ? `${number(metres)} m` : `${number(metres / 1000)} km`;
}
