/** A line of scores through the year or the day, as a small SVG picture. */

const WIDTH = 240;
const HEIGHT = 64;
const SVG = "http://www.w3.org/2000/svg";

export function drawSeries(label: string, scores: (number | null)[], marks: string[], current: number): SVGSVGElement {
  const valid = scores.filter((score): score is number => score !== null);
  const low = Math.min(...valid);
  const span = Math.max(...valid) - low || 1;
  const x = (index: number) => 6 + (index / Math.max(scores.length - 1, 1)) * (WIDTH - 12);
  const y = (score: number) => HEIGHT - 16 - ((score - low) / span) * (HEIGHT - 24);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${label}: lowest ${low.toFixed(3)}, highest ${(low + span).toFixed(3)}`);
  const points = scores.flatMap((score, index) => (score === null ? [] : [`${x(index)},${y(score)}`]));
  add(svg, "polyline", { points: points.join(" "), class: "line" });
  const here = scores[current];
  if (here !== null && here !== undefined) add(svg, "circle", { cx: x(current), cy: y(here), r: 3.5, class: "dot" });
  marks.forEach((mark, index) => {
    const text = add(svg, "text", { x: x(index), y: HEIGHT - 3, "text-anchor": "middle" });
    text.textContent = mark;
  });
  return svg;
}

function add(parent: Element, name: string, attributes: Record<string, string | number>): Element {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  parent.append(element);
  return element;
}
