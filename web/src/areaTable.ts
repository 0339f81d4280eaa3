/** The table of areas and their means, with the key to their colours. */

import { create, createButton, element, formatScore } from "./elements";

const LISTED = 25;

export interface AreaLook {
  scale: string;
  /** Lowest and highest mean of the colours; null where no area has data. */
  ends: [number, number] | null;
  table: Uint8Array;
  coloured: boolean;
  colourOf: (mean: number | null) => string;
  onColour: (coloured: boolean) => void;
  onChoose: (feature: GeoJSON.Feature) => void;
  onRemove: () => void;
}

interface Row {
  name: string;
  mean: number | null;
  covered: number;
  feature: GeoJSON.Feature;
}

const NAMES = ["name", "NAME", "Name", "title", "id"];

/** Say something in the place of the table; a problem with areas that are there comes with a button to remove them. */
export function withoutAreas(sentence: string, isProblem = false, onRemove?: () => void): void {
  const parts: HTMLElement[] = [create("p", sentence, isProblem ? "problem" : "quiet")];
  if (onRemove) parts.push(createButton("Remove the areas", onRemove));
  element("zones").replaceChildren(...parts);
}

export function listAreas(features: GeoJSON.Feature[], look: AreaLook): void {
  const rows = features.map(rowOf).sort((a, b) => (b.mean ?? -Infinity) - (a.mean ?? -Infinity));
  const parts: HTMLElement[] = [colourSwitch(look)];
  if (look.coloured && look.ends) parts.push(...keyOf(look, look.ends));
  parts.push(tableOf(rows.slice(0, LISTED), look));
  if (rows.length > LISTED) parts.push(create("p", `and ${rows.length - LISTED} more with lower means`, "quiet"));
  parts.push(createButton(features.length > 1 ? "Remove the areas" : "Remove the area", look.onRemove));
  const hadFocus = document.activeElement?.id;
  element("zones").replaceChildren(...parts);
  if (hadFocus === "colour-areas") element("colour-areas").focus();
}

/** What an area calls itself; its number where it has no name. */
export function nameOf(feature: GeoJSON.Feature, index: number): string {
  const name = NAMES.map((key) => feature.properties?.[key] as unknown).find((value) => value !== undefined && value !== null);
  return name === undefined ? `area ${index + 1}` : String(name as string | number).slice(0, 80);
}

function rowOf(feature: GeoJSON.Feature, index: number): Row {
  const properties = feature.properties ?? {};
  return {
    name: nameOf(feature, index),
    mean: (properties["mean"] ?? null) as number | null,
    covered: (properties["covered_share"] ?? 0) as number,
    feature,
  };
}

function colourSwitch(look: AreaLook): HTMLElement {
  const label = create("label", "", "check");
  const box = create("input");
  box.type = "checkbox";
  box.id = "colour-areas";
  box.checked = look.coloured;
  box.addEventListener("change", () => look.onColour(box.checked));
  label.append(box, "Colour the areas by their mean");
  return label;
}

/** The colours from the lowest to the highest mean. */
function keyOf(look: AreaLook, [low, high]: [number, number]): HTMLElement[] {
  const bar = create("canvas");
  bar.id = "zones-bar";
  bar.width = 256;
  bar.height = 1;
  bar.setAttribute("role", "img");
  bar.setAttribute("aria-label", `Colours of means from ${formatScore(low, look.scale)} to ${formatScore(high, look.scale)}`);
  const image = new ImageData(256, 1);
  image.data.set(look.table);
  bar.getContext("2d")!.putImageData(image, 0, 0);
  const ends = create("div", "", "row spread quiet");
  ends.append(create("span", formatScore(low, look.scale)), create("span", formatScore(high, look.scale)));
  return high > low ? [bar, ends] : [];
}

function tableOf(rows: Row[], look: AreaLook): HTMLElement {
  const table = create("table");
  const head = table.createTHead().insertRow();
  for (const name of ["area", "mean", "covered"]) {
    const cell = create("th", name);
    cell.scope = "col";
    head.append(cell);
  }
  const body = table.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    const name = line.insertCell();
    const swatch = create("span", "", "swatch");
    swatch.style.background = look.coloured ? look.colourOf(row.mean) : "transparent";
    name.append(swatch, createButton(row.name, () => look.onChoose(row.feature)));
    line.insertCell().textContent = formatScore(row.mean, look.scale);
    line.insertCell().textContent = `${Math.round(row.covered * 100)} %`;
  }
  return table;
}
