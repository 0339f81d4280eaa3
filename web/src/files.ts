/** Files of the map to keep, and its addresses for other programs. */

import type { Question } from "./api";
import { addressOf, atlasAddress, queryOf, request } from "./api";
import { element, onClick } from "./elements";
import { hasKey } from "./key";
import type { Page } from "./page";

const FORMATS = ["tif", "png", "geojson", "pmtiles"];

export class Files {
  constructor(page: Page) {
    for (const format of FORMATS) {
      element(`file-${format}`).addEventListener("click", (event) => {
        const link = event.currentTarget as HTMLAnchorElement;
        if (!link.hasAttribute("href")) return this.say("Type a prompt first.");
        if (!hasKey()) return; // the browser can do it alone, as no header is needed
        event.preventDefault();
        void this.download(link.href, `sat2cap.${format}`);
      });
    }
    onClick("copy-tiles", () => {
      const question = page.question();
      const note = "Copied. In QGIS: Layer, Add Layer, Add XYZ Layer, and paste it as the URL.";
      const key = " As this server asks for a key, give it there as the header X-API-Key.";
      if (question) void this.copy(tileAddress(question), hasKey() ? note + key : note);
      else this.say("Type a prompt first.");
    });
    onClick("copy-link", () => void this.copy(location.href, "Copied. The link opens this map as you see it."));
  }

  /** Let the links be those of the question. */
  show(question: Question | null): void {
    for (const format of FORMATS) {
      const link = element<HTMLAnchorElement>(`file-${format}`);
      if (question) link.href = addressOf(question, "export", { format });
      else link.removeAttribute("href");
    }
    this.say("");
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
      this.say("");
    } catch (error) {
      this.say((error as Error).message);
    }
  }

  private async copy(text: string, note: string): Promise<void> {
    try {
      await navigator.clipboard.writeText(text);
      this.say(note);
    } catch {
      this.say(`Copy this: ${text}`); // a page that is not on this machine and not https may not copy
    }
  }

  private say(sentence: string): void {
    element("files-note").textContent = sentence;
  }
}

export function tileAddress(question: Question): string {
  const tiles = new URL(atlasAddress(question.atlas, "map/tiles/WebMercatorQuad/"), document.baseURI);
  return `${tiles.href}{z}/{x}/{y}.png?${queryOf(question)}`;
}
