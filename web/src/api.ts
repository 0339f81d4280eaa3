/** What the server answers (docs/serve.md), typed. */

export interface AtlasSummary {
  id: string;
  title: string;
  problem: string | null;
  cells: number;
  bounds: [number, number, number, number];
  knows_time: boolean;
  years: [number, number] | null;
  calibrated: boolean;
  attribution: string;
}

export interface Atlas extends AtlasSummary {
  grid: { shape: [number, number]; cell_m: number; crs: string };
  /** Points of the grid in Web Mercator, 0 to 1, row by row, (steps + 1)² of them. */
  mesh: { steps: number; xy: [number, number][] };
  version: string;
  /** Chance that texts without meaning reach in this atlas; null for a model that is not calibrated. */
  nonsense_chance: number | null;
}

export interface Scores {
  /** One byte for each cell: 0 for no data, 1 to 255 evenly from low to high. */
  levels: Uint8Array;
  shape: [number, number];
  low: number | null;
  high: number | null;
  p2: number | null;
  p98: number | null;
  name: string;
  unit: string;
  warning: string | null;
}

export interface Question {
  atlas: string;
  prompt: string;
  when: string | null;
  scale: string;
}

export interface PlaceDescription {
  lon: number;
  lat: number;
  score: number | null;
  percentile: number | null;
  chance: number | null;
  phrases: { text: string; cosine: number }[];
}

export interface Series {
  when: string[];
  scores: (number | null)[];
}

/** Something that the server, or the way to it, refused; the message is for people. */
export class Problem extends Error {}

async function request(path: string, options: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if ((error as Error).name === "AbortError") throw error;
    throw new Problem("The server does not answer. Is it still running?");
  }
  if (response.ok) return response;
  const body = (await response.json().catch(() => ({}))) as { detail?: string };
  throw new Problem(body.detail ?? `The server answered ${response.status}.`);
}

/** The query of a question, with more parameters after it. */
export function queryOf(question: Question, more: Record<string, string> = {}): string {
  const query = new URLSearchParams({ prompt: question.prompt, scale: question.scale });
  if (question.when) query.set("when", question.when);
  for (const [name, value] of Object.entries(more)) query.set(name, value);
  return query.toString();
}

/** The address of something about a question. */
export function addressOf(question: Question, what: string, more: Record<string, string> = {}): string {
  return `./api/atlases/${encodeURIComponent(question.atlas)}/${what}?${queryOf(question, more)}`;
}

export async function listAtlases(): Promise<AtlasSummary[]> {
  return (await request("./api/atlases")).json() as Promise<AtlasSummary[]>;
}

export async function describeAtlas(id: string): Promise<Atlas> {
  return (await request(`./api/atlases/${encodeURIComponent(id)}`)).json() as Promise<Atlas>;
}

export async function readScores(question: Question, signal: AbortSignal): Promise<Scores> {
  const response = await request(addressOf(question, "scores"), { signal });
  const about = JSON.parse(response.headers.get("X-Score") ?? "{}") as Omit<Scores, "levels">;
  return { ...about, levels: new Uint8Array(await response.arrayBuffer()) };
}

export async function findPlaces(question: Question, top: number): Promise<GeoJSON.FeatureCollection<GeoJSON.Point>> {
  const response = await request(addressOf(question, "search", { top: String(top) }));
  return response.json() as Promise<GeoJSON.FeatureCollection<GeoJSON.Point>>;
}

export async function describePlace(question: Question, lon: number, lat: number): Promise<PlaceDescription> {
  const where = { lon: lon.toFixed(6), lat: lat.toFixed(6) };
  return (await request(addressOf(question, "point", where))).json() as Promise<PlaceDescription>;
}

export async function followPlace(question: Question, lon: number, lat: number, over: "months" | "hours"): Promise<Series> {
  const where = { lon: lon.toFixed(6), lat: lat.toFixed(6), over };
  return (await request(addressOf(question, "series", where))).json() as Promise<Series>;
}

export async function summariseZones(question: Question, zones: unknown): Promise<GeoJSON.FeatureCollection> {
  const body = JSON.stringify(zones);
  const headers = { "Content-Type": "application/json" };
  const response = await request(addressOf(question, "zones", { stat: "mean" }), { method: "POST", body, headers });
  return response.json() as Promise<GeoJSON.FeatureCollection>;
}
