/** What the server answers (docs/serve.md), typed. */

import { askKey, keyHeaders } from "./key";

export interface AtlasSummary {
  id: string;
  title: string;
  problem: string | null;
  /** A sentence on how much of the atlas is done; null for a finished one. */
  unfinished: string | null;
  cells: number;
  bounds: [number, number, number, number];
  knows_time: boolean;
  years: [number, number] | null;
  calibrated: boolean;
  attribution: string;
}

export interface Atlas extends AtlasSummary {
  /** `cell_m` is the side of a cell on the ground, metres. */
  grid: { shape: [number, number]; cell_m: number; crs: string };
  /** Points of the grid in Web Mercator, 0 to 1, row by row, (steps + 1)² of them. */
  mesh: { steps: number; xy: [number, number][] };
  version: string;
  /** Whether the server can write a sentence about a place. */
  captions?: boolean;
  /** Whether a photo can be the prompt. */
  photos?: boolean;
}

export interface Scores {
  /** One byte for each cell: 0 for no data, 1 to 255 evenly from low to high. */
  levels: Uint8Array;
  shape: [number, number];
  /** Row and column of the first cell in the atlas, where the answer is a part of it. */
  offset?: [number, number];
  /** Whether this is a difference: low is then -high, and level 128 is no change. */
  centred?: boolean;
  low: number | null;
  high: number | null;
  p2: number | null;
  p98: number | null;
  name: string;
  unit: string;
  warning: string | null;
  /** A sentence on how much of the atlas is done; null for a finished one. */
  unfinished: string | null;
  /** Whether the words of a chance fit no held-out photo better than words without meaning do. */
  says_nothing?: boolean;
  /** Which prompts of a chance few held-out photos speak for. */
  few_photos: string | null;
}

export interface Question {
  atlas: string;
  prompt: string;
  when: string | null;
  scale: string;
  /** Of a difference: the prompt and the date of the map that is taken off; null for the same. */
  minus: string | null;
  minusWhen: string | null;
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

export type Box = [west: number, south: number, east: number, north: number];

/** Something that the server, or the way to it, refused; the message is for people. */
export class Problem extends Error {
  constructor(
    message: string,
    /** The HTTP status; 0 where there was no answer. */
    readonly status = 0,
  ) {
    super(message);
  }

  /** Whether asking the same again would be refused again. */
  get isFinal(): boolean {
    return this.status >= 400 && this.status < 500;
  }
}

/** Nothing answers at the address of the server. */
export class Unreachable extends Problem {}

const BUSY_TRIES = 3;
const RETRY_MS = 2000;

/** Ask for the server's health until it answers, and then go on, if somebody still waits for that. */
export async function waitForServer(isAwaited: () => boolean, goOn: () => void): Promise<void> {
  while (isAwaited()) {
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    const isBack = await request("./api/health").then(Boolean, () => false);
    if (isBack && isAwaited()) return goOn();
  }
}

/** Ask the server: with the key where it wants one, and again in a moment where it is busy. */
export async function request(path: string, options: RequestInit = {}, tries = BUSY_TRIES): Promise<Response> {
  let response: Response;
  const key = keyHeaders();
  try {
    response = await fetch(path, { ...options, headers: { ...options.headers, ...key } });
  } catch (error) {
    if ((error as Error).name === "AbortError") throw error;
    throw new Unreachable("The server does not answer. Is it still running? This page continues as soon as it is back.");
  }
  if (response.ok) return response;
  if (response.status === 401) {
    const isOutdated = keyHeaders()["X-API-Key"] !== key["X-API-Key"]; // another request has brought one meanwhile
    if (isOutdated || (await askKey())) return request(path, options, tries);
  }
  if (response.status === 503 && tries > 1) {
    const seconds = Number(response.headers.get("Retry-After") ?? 1);
    await new Promise((resolve) => setTimeout(resolve, 1000 * Math.min(seconds || 1, 5)));
    options.signal?.throwIfAborted();
    return request(path, options, tries - 1);
  }
  const body = (await response.json().catch(() => ({}))) as { detail?: string };
  const sentence = body.detail ?? `the server answered ${response.status}`;
  throw new Problem(sentence.charAt(0).toUpperCase() + sentence.slice(1), response.status);
}

async function requestJson<T>(path: string, options: RequestInit = {}): Promise<T> {
  return (await request(path, options)).json() as Promise<T>;
}

/** The query of a question, with more parameters after it. */
export function queryOf(question: Question, more: Record<string, string> = {}): string {
  const query = new URLSearchParams({ prompt: question.prompt, scale: question.scale });
  if (question.when) query.set("when", question.when);
  if (question.minus) query.set("minus", question.minus);
  if (question.minusWhen) query.set("minus_when", question.minusWhen);
  for (const [name, value] of Object.entries(more)) query.set(name, value);
  return query.toString();
}

/** The address of something about an atlas. */
export function atlasAddress(atlas: string, what = ""): string {
  return `./api/atlases/${encodeURIComponent(atlas)}${what && "/"}${what}`;
}

/** The address of something about a question. */
export function addressOf(question: Question, what: string, more: Record<string, string> = {}): string {
  return `${atlasAddress(question.atlas, what)}?${queryOf(question, more)}`;
}

export function listAtlases(): Promise<AtlasSummary[]> {
  return requestJson("./api/atlases");
}

export function describeAtlas(id: string): Promise<Atlas> {
  return requestJson(atlasAddress(id));
}

export async function readNonsenseChance(atlas: string, when: string | null): Promise<number | null> {
  const query = when ? `?${new URLSearchParams({ when }).toString()}` : "";
  return (await requestJson<{ chance: number | null }>(atlasAddress(atlas, "nonsense") + query)).chance;
}

export async function readScores(question: Question, box: Box | null, signal: AbortSignal): Promise<Scores> {
  const more: Record<string, string> = box ? { bbox: box.map((degrees) => degrees.toFixed(5)).join(",") } : {};
  const response = await request(addressOf(question, "scores", more), { signal });
  const about = JSON.parse(response.headers.get("X-Score") ?? "{}") as Omit<Scores, "levels">;
  return { ...about, levels: new Uint8Array(await response.arrayBuffer()) };
}

/** The best places, of those within `zones` where there are any. */
export function findPlaces(question: Question, top: number, zones: unknown): Promise<GeoJSON.FeatureCollection<GeoJSON.Point>> {
  return requestJson(addressOf(question, "search", { top: String(top) }), zones === null ? {} : post(zones));
}

function post(document: unknown): RequestInit {
  return { method: "POST", body: JSON.stringify(document), headers: { "Content-Type": "application/json" } };
}

const at = (lon: number, lat: number) => ({ lon: lon.toFixed(6), lat: lat.toFixed(6) });

export function describePlace(question: Question, lon: number, lat: number, signal: AbortSignal): Promise<PlaceDescription> {
  return requestJson(addressOf(question, "point", at(lon, lat)), { signal });
}

/** The score of a place through a year or a day: of the question's own prompt, also where it is a difference. */
export function followPlace(question: Question, lon: number, lat: number, over: string, signal: AbortSignal): Promise<Series> {
  const plain = { ...question, minus: null, minusWhen: null };
  return requestJson(addressOf(plain, "series", { ...at(lon, lat), over }), { signal });
}

export async function captionPlace(question: Question, lon: number, lat: number, signal: AbortSignal): Promise<string | null> {
  const query = new URLSearchParams({ ...at(lon, lat), ...(question.when ? { when: question.when } : {}) });
  const path = `${atlasAddress(question.atlas, "caption")}?${query.toString()}`;
  return (await requestJson<{ caption: string | null }>(path, { signal })).caption;
}

export function summariseZones(question: Question, zones: unknown): Promise<GeoJSON.FeatureCollection> {
  return requestJson(addressOf(question, "zones", { stat: "mean" }), post(zones));
}
