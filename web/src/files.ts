/** Files of the map to keep, and its addresses for other programs. */

import type { Question } from "./api";
import { addressOf, atlasAddress, queryOf, request } from "./api";
import { element, onClick } from "./elements";
import { hasKey } from "./key";
import type { Page } from "./page";

const FORMATS = ["tif", "png", "geojson", "pmtiles"];
const ADDRESSES = ["tiles", "wmts"] as const;
const CONFIRMED_MS = 1600;
const NO_PROMPT = "Type a prompt first.";

export class Files {
  constructor(private readonly page: Page) {
    for (const format of FORMATS) {
      element(`file-${format}`).addEventListener("click", (event) => {
        event.preventDefault();
        const link = event.currentTarget as HTMLAnchorElement;
        if (link.hasAttribute("href")) void this.download(link.href, `sat2cap.${format}`);
        else this.say(NO_PROMPT);
      });
    }
    for (const kind of ADDRESSES) {
      const field = element<HTMLInputElement>(kind === "tiles" ? "tile-address" : "wmts-address");
      field.addEventListener("focus", () => field.select());
      onClick(`copy-${kind}`, () => void this.copy(`copy-${kind}`, field.value));
    }
    onClick("copy-link", () => void this.copy("copy-link", location.href));
  }

  /** Let the links and addresses be those of the map in view. */
  show(): void {
    const { page } = this;
    const question = page.question();
    for (const format of FORMATS) {
      const link = element<HTMLAnchorElement>(`file-${format}`);
      if (question) link.href = addressOf(question, "export", { format });
      else link.removeAttribute("href");
    }
    const looks = this.looks();
    element<HTMLInputElement>("tile-address").value = question ? tileAddress(question, looks) : "";
    element<HTMLInputElement>("wmts-address").value = question ? wmtsAddress(question, looks) : "";
    const key = hasKey() ? " As this server asks for a key, give it there as the header X-API-Key." : "";
    element("qgis-note").textContent = question ? `In QGIS: Layer, Add Layer, Add XYZ Layer or Add WMS/WMTS Layer.${key}` : NO_PROMPT;
    this.say("");
  }

  /** Colours and range of the map in view, as the tiles take them. */
  private looks(): Record<string, string> {
    const { range, shown, state } = this.page;
    if (!range) return {};
    const rescale = range.map((score) => Number(score.toPrecision(6))).join(",");
    return { rescale, ...(shown?.scores.centred ? {} : { colormap_name: state.colours }) };
  }

  private async download(address: string, name: string): Promise<void> {
    this.say("Making the file …");
    try {
      const content = URL.createObjectURL(await (await request(address)).blob());
      const link = document.createElement("a");
      link.href = content;
      link.download = name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(content), 60_000);
      this.say(`${name} is in your downloads.`);
    } catch (error) {
      this.say((error as Error).message);
    }
  }

  /** Copy a text, and say so on the button. */
  private async copy(id: string, text: string): Promise<void> {
    if (!text) return this.say(NO_PROMPT);
    try {
      await navigator.clipboard.writeText(text);
      const button = element(id);
      const label = (button.dataset["label"] ??= button.textContent ?? "");
      button.textContent = "Copied ✓";
      setTimeout(() => (button.textContent = label), CONFIRMED_MS);
      this.say("Copied.");
    } catch {
      this.say(`Copy this: ${text}`); // a page that is not on this machine and not https may not copy
    }
  }

  private say(sentence: string): void {
    element("files-note").textContent = sentence;
  }
}

function tileAddress(question: Question, looks: Record<string, string>): string {
  const tiles = new URL(atlasAddress(question.atlas, "map/tiles/WebMercatorQuad/"), document.baseURI);
  return `${tiles.href}{z}/{x}/{y}.png?${queryOf(question, looks)}`;
}

function wmtsAddress(question: Question, looks: Record<string, string>): string {
  const address = new URL(atlasAddress(question.atlas, "wmts"), document.baseURI).href;
  const query = queryOf(question, looks);
  if (!query.includes("%26")) return `${address}?${query}`;
  const packed = btoa(query).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  return `${address}/${packed}/WMTSCapabilities.xml`; // QGIS would cut a prompt at its &
}
