/** Prompts by example: a photo that was sent to the server, or a place of the atlas, in place of words. */

import { request } from "./api";
import { element, showPicture } from "./elements";

const EXAMPLE = /(?:^|\s\+\s)\s*(?:place|upload):/;
const PHOTO = /(?:^|\s\+\s)\s*upload:([0-9a-f]+)/;
const MAX_PHOTO_BYTES = 20 * 2 ** 20;

/** Whether a prompt has an example among its parts: such a prompt has ranks and similarities, but no chance. */
export function hasExample(prompt: string): boolean {
  return EXAMPLE.test(prompt);
}

/** The prompt for places like this one. */
export function placePrompt(lon: number, lat: number): string {
  return `place:${lon.toFixed(5)},${lat.toFixed(5)}`;
}

/** Takes a photo from the button, the clipboard or a drop, and shows the one that the prompt names. */
export class PhotoPrompts {
  private shown: string | null = null;
  private arePossible = false;

  /** `begin` is told that a photo is being sent, `choose` its prompt, `refuse` why there is none. */
  constructor(
    private readonly begin: () => void,
    private readonly choose: (prompt: string) => void,
    private readonly refuse: (error: Error) => void,
  ) {
    element<HTMLInputElement>("photo").addEventListener("change", (event) => {
      const input = event.target as HTMLInputElement;
      const file = input.files?.[0];
      input.value = ""; // so that the same photo can be taken again
      if (file) void this.send(file);
    });
    document.addEventListener("paste", (event) => this.take(event, event.clipboardData));
    document.addEventListener("drop", (event) => this.take(event, event.dataTransfer));
    document.addEventListener("dragover", (event) => event.preventDefault()); // or the browser opens the file
  }

  /** Offer the button, or not where the server could only refuse a photo. */
  offer(arePossible: boolean): void {
    this.arePossible = arePossible;
    for (const id of ["photo", "photo-button"]) element(id).hidden = !arePossible;
  }

  /** Show the photo that a prompt names in the place of the sign beside the box. */
  async show(prompt: string): Promise<void> {
    const name = PHOTO.exec(prompt)?.[1] ?? null;
    if (name === this.shown) return;
    this.shown = name;
    const picture = element<HTMLImageElement>("photo-shown");
    picture.hidden = true;
    element("prompt-icon").toggleAttribute("hidden", false);
    if (name === null) return;
    const response = await request(`./api/photos/${name}.webp`).catch(() => null);
    if (response === null || name !== this.shown) return;
    await showPicture(picture, response);
    picture.hidden = false;
    element("prompt-icon").toggleAttribute("hidden", true);
  }

  private take(event: Event, data: DataTransfer | null): void {
    const file = [...(data?.files ?? [])].find((one) => one.type.startsWith("image/"));
    if (event.type === "drop") event.preventDefault();
    if (!file) return;
    event.preventDefault();
    void this.send(file);
  }

  private async send(file: File): Promise<void> {
    try {
      if (!this.arePossible) throw new Error("This server cannot read photos; describe in words what the photo shows.");
      if (file.size > MAX_PHOTO_BYTES) throw new Error("This photo is larger than 20 MB; make it smaller.");
      this.begin();
      const response = await request("./api/photos", { method: "POST", body: file });
      this.choose(((await response.json()) as { prompt: string }).prompt);
    } catch (error) {
      this.refuse(error as Error);
    }
  }
}
