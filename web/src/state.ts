/** The state of the page in its address, so that a link is a map. */

export interface State {
  atlas: string;
  prompt: string;
  /** What the map is compared with; null when nothing is. An empty prompt, month or hour is that of the first map. */
  second: string | null;
  secondMonth: number;
  secondHour: number | null;
  /** Whether one map is taken off the other; otherwise they lie side by side. */
  difference: boolean;
  /** Where the border between the two lies, 0 to 1. */
  border: number;
  /** 1 to 12; 0 for no date. */
  month: number;
  hour: number;
  scale: string;
  colours: string;
  /** Share of the scale, 0 to 1, below which the imagery shows through. */
  threshold: number;
  opacity: number;
  lon: number | null;
  lat: number | null;
  zoom: number | null;
  /** The open panel; empty for none. */
  panel: Panel;
  /** The place that is described. */
  place: [number, number] | null;
  /** Corners of the drawn area. */
  area: [number, number][];
  /** Whether areas are coloured by their mean. */
  coloured: boolean;
  /** Whether the map of words that say nothing is shown all the same. */
  anyway: boolean;
  /** Whether the best places are those within the areas, where there are any. */
  within: boolean;
}

export type Panel = "" | "places" | "areas" | "files" | "place";

const PANELS: Panel[] = ["places", "areas", "files", "place"];
const SCALES = ["contrast", "cosine", "percentile"];
const COLOURS = ["magma", "viridis", "cividis"];
const MOST_CORNERS = 200;
const MOST_LETTERS = 300;

export const START: State = {
  atlas: "",
  prompt: "",
  second: null,
  secondMonth: 0,
  secondHour: null,
  difference: false,
  border: 0.5,
  month: 0,
  hour: 12,
  scale: "",
  colours: "magma",
  threshold: 0,
  opacity: 0.85,
  lon: null,
  lat: null,
  zoom: null,
  panel: "",
  place: null,
  area: [],
  within: true,
  anyway: false,
  coloured: true,
};

/** Points from text such as `4.9,52.4;5.0,52.4`; those that are not on Earth are left out. */
function readPoints(text: string | null): [number, number][] {
  return (text ?? "")
    .split(";")
    .slice(0, MOST_CORNERS)
    .map((pair) => pair.split(",").map(Number))
    .filter((pair): pair is [number, number] => pair.length === 2 && Math.abs(pair[0]!) <= 540 && Math.abs(pair[1]!) <= 90);
}

function writePoints(points: [number, number][]): string {
  return points.map(([lon, lat]) => `${Number(lon.toFixed(5))},${Number(lat.toFixed(5))}`).join(";");
}

/** The text, if it is one of those known; undefined for what somebody else wrote into a link. */
function oneOf<T extends string>(known: T[], text: string | null): T | undefined {
  return known.find((one) => one === text);
}

export function readState(hash: string): State {
  const query = new URLSearchParams(hash.replace(/^#/, ""));
  const number = <T>(name: string, low: number, high: number, otherwise: T): number | T => {
    const value = Number(query.get(name));
    return query.get(name) && Number.isFinite(value) ? Math.min(Math.max(value, low), high) : otherwise;
  };
  const whole = (value: number) => Math.round(value);
  const secondHour = number("hour2", 0, 23, null);
  return {
    atlas: query.get("atlas") ?? "",
    prompt: (query.get("q") ?? "").slice(0, MOST_LETTERS),
    second: query.has("q2") ? query.get("q2")!.slice(0, MOST_LETTERS) : null,
    secondMonth: whole(number("month2", 0, 12, START.secondMonth)),
    secondHour: secondHour === null ? null : whole(secondHour),
    difference: query.get("show") === "difference",
    border: number("border", 0, 1, START.border),
    month: whole(number("month", 0, 12, START.month)),
    hour: whole(number("hour", 0, 23, START.hour)),
    scale: oneOf(SCALES, query.get("scale")) ?? "",
    colours: oneOf(COLOURS, query.get("colours")) ?? START.colours,
    threshold: number("above", 0, 1, START.threshold),
    opacity: number("opacity", 0, 1, START.opacity),
    lon: number("lon", -180, 180, null),
    lat: number("lat", -85, 85, null),
    zoom: number("z", 0, 22, null),
    panel: oneOf(PANELS, query.get("panel")) ?? "",
    place: readPoints(query.get("at"))[0] ?? null,
    area: readPoints(query.get("area")),
    coloured: query.get("areas") !== "outlines",
    within: query.get("places") !== "all",
    anyway: query.has("anyway"),
  };
}

export function writeState(state: State): string {
  const query = new URLSearchParams();
  const put = (name: string, value: string | number | null, otherwise: string | number | null = null) => {
    if (value !== null && value !== otherwise) query.set(name, String(value));
  };
  put("atlas", state.atlas, "");
  put("q", state.prompt, "");
  put("q2", state.second);
  if (state.second !== null) {
    put("month2", state.secondMonth, START.secondMonth);
    put("hour2", state.secondHour);
    put("show", state.difference ? "difference" : null);
    put("border", state.difference ? null : Number(state.border.toFixed(3)), START.border);
  }
  put("month", state.month, START.month);
  put("hour", state.month ? state.hour : START.hour, START.hour);
  put("scale", state.scale, "");
  put("colours", state.colours, START.colours);
  put("above", Number(state.threshold.toFixed(3)), START.threshold);
  put("opacity", Number(state.opacity.toFixed(2)), START.opacity);
  put("panel", state.panel, "");
  put("at", state.place && state.panel === "place" ? writePoints([state.place]) : null);
  put("area", writePoints(state.area), "");
  put("areas", state.coloured ? null : "outlines");
  put("places", state.within ? null : "all");
  put("anyway", state.anyway ? "yes" : null);
  if (state.lon !== null && state.lat !== null && state.zoom !== null) {
    put("lon", Number(state.lon.toFixed(5)));
    put("lat", Number(state.lat.toFixed(5)));
    put("z", Number(state.zoom.toFixed(2)));
  }
  return `#${query.toString()}`;
}
