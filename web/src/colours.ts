/** Colour maps of scores: perceptually uniform, and safe for colour-blind eyes. */

/** Nine colours, evenly spaced, of matplotlib's maps of these names; those between are interpolated. */
const STOPS: Record<string, string[]> = {
  magma: ["#000004", "#1c1044", "#4f127b", "#812581", "#b5367a", "#e55064", "#fb8761", "#fec287", "#fcfdbf"],
  viridis: ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"],
  cividis: ["#00224e", "#1a386f", "#434e6c", "#61656f", "#7d7c78", "#9b9476", "#bcae6c", "#dec958", "#fee838"],
  // of differences: RdBu, from what has become less to what has become more
  difference: ["#053061", "#2a71b2", "#6bacd1", "#c2ddec", "#f7f6f6", "#fbccb4", "#e48066", "#ba2832", "#67001f"],
};

/** The name of the colour map in use: a difference has its own, with a middle. */
export function colourName(chosen: string, isDifference: boolean): string {
  return isDifference ? "difference" : chosen;
}

/** A table of 256 colours, RGBA, of a map by its name. */
export function colourTable(name: string): Uint8Array {
  const stops = (STOPS[name] ?? STOPS["magma"]!).map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  const table = new Uint8Array(256 * 4);
  for (let level = 0; level < 256; level++) {
    const position = (level / 255) * (stops.length - 1);
    const index = Math.min(Math.floor(position), stops.length - 2);
    const share = position - index;
    for (let channel = 0; channel < 3; channel++) {
      const from = stops[index]![channel]!;
      const to = stops[index + 1]![channel]!;
      table[4 * level + channel] = Math.round(from + share * (to - from));
    }
    table[4 * level + 3] = 255;
  }
  return table;
}

/** One colour of a table, `share` of the way from its first to its last, as CSS writes it. */
export function colourAt(table: Uint8Array, share: number): string {
  const at = 4 * Math.round(255 * Math.min(Math.max(share, 0), 1));
  return `rgb(${table[at]}, ${table[at + 1]}, ${table[at + 2]})`;
}
