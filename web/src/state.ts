/** The state of the page in its address, so that a link is a map. */

export interface State {
  atlas: string;
  prompt: string;
  /** The prompt on the right of the border; null when nothing is compared. */
  second: string | null;
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
}

export const START: State = {
  atlas: "",
  prompt: "",
  second: null,
  month: 0,
  hour: 12,
  scale: "",
  colours: "magma",
  threshold: 0,
  opacity: 0.85,
  lon: null,
  lat: null,
  zoom: null,
};

export function readState(hash: string): State {
  const query = new URLSearchParams(hash.replace(/^#/, ""));
  const number = (name: string, low: number, high: number, otherwise: number | null) => {
    const value = Number(query.get(name));
    return query.get(name) && Number.isFinite(value) ? Math.min(Math.max(value, low), high) : otherwise;
  };
  return {
    atlas: query.get("atlas") ?? "",
    prompt: (query.get("q") ?? "").slice(0, 300),
    second: query.has("q2") ? query.get("q2")!.slice(0, 300) : null,
    month: Math.round(number("month", 0, 12, START.month)!),
    hour: Math.round(number("hour", 0, 23, START.hour)!),
    scale: query.get("scale") ?? "",
    colours: query.get("colours") ?? START.colours,
    threshold: number("above", 0, 1, START.threshold)!,
    opacity: number("opacity", 0, 1, START.opacity)!,
    lon: number("lon", -180, 180, null),
    lat: number("lat", -85, 85, null),
    zoom: number("z", 0, 22, null),
  };
}

export function writeState(state: State): string {
  const query = new URLSearchParams();
  const put = (name: string, value: string | number | null, otherwise: string | number | null) => {
    if (value !== null && value !== otherwise) query.set(name, String(value));
  };
  put("atlas", state.atlas, "");
  put("q", state.prompt, "");
  put("q2", state.second, null);
  put("month", state.month, START.month);
  put("hour", state.month ? state.hour : START.hour, START.hour);
  put("scale", state.scale, "");
  put("colours", state.colours, START.colours);
  put("above", Number(state.threshold.toFixed(3)), START.threshold);
  put("opacity", Number(state.opacity.toFixed(2)), START.opacity);
  if (state.lon !== null && state.lat !== null && state.zoom !== null) {
    put("lon", Number(state.lon.toFixed(5)), null);
    put("lat", Number(state.lat.toFixed(5)), null);
    put("z", Number(state.zoom.toFixed(2)), null);
  }
  return `#${query.toString()}`;
}
