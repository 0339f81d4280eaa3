/** A line of scores through the year or the day, as a small SVG picture. */

const WIDTH = 260;
const HEIGHT = 72;
const BASE = HEIGHT - 15;
const SVG = "http://www.w3.org/2000/svg";

/** The picture of a series; it is at least as high as scores that differ by `least`, so that noise looks flat. */
export function drawSeries(
  label: string,
  scores: (number | null)[],
  marks: string[],
  current: number,
  format: (score: number) => string,
  least: number,
): SVGSVGElement {
  const valid = scores.filter((score): score is number => score !== null);
  const low = Math.min(...valid);
  const high = Math.max(...valid);
  const span = Math.max(high - low, least);
  const x = (index: number) => 8 + (index / Math.max(scores.length - 1, 1)) * (WIDTH - 16);
  const y = (score: number) => BASE - 4 - ((score - low) / span) * (BASE - 20);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${label}: from ${format(low)} to ${format(high)}`);
  const points = scores.flatMap((score, index) => (score === null ? [] : [`${x(index)},${y(score)}`]));
  if (points.length === scores.length) {
    add(svg, "polygon", { points: `${x(0)},${BASE} ${points.join(" ")} ${x(scores.length - 1)},${BASE}`, class: "under" });
  }
  add(svg, "polyline", { points: points.join(" "), class: "line" });
  const here = scores[current];
  if (here !== null && here !== undefined) add(svg, "circle", { cx: x(current), cy: y(here), r: 4, class: "dot" });
  const side = (at: number) => (at < scores.length * 0.15 ? "start" : at > scores.length * 0.85 ? "end" : "middle");
  const [lowest, highest] = [scores.indexOf(low), scores.indexOf(high)];
  add(svg, "text", { x: x(highest), y: y(high) - 6, "text-anchor": side(highest) }).textContent = format(high);
  if (format(low) !== format(high)) {
    add(svg, "text", { x: x(lowest), y: y(low) - 6, "text-anchor": side(lowest) }).textContent = format(low);
  }
  marks.forEach((mark, index) => {
    add(svg, "text", { x: x(index), y: HEIGHT - 3, "text-anchor": "middle" }).textContent = mark;
  });
  return svg;
}

function add(parent: Element, name: string, attributes: Record<string, string | number>): Element {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  parent.append(element);
  return element;
}
