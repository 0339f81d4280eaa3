/** The page's controls: the prompt, how the map is drawn, the keys and the map itself. */

import type { LngLat } from "maplibre-gl";
import { element, onClick, onInput } from "./elements";
import { wireKeys } from "./keyboard";
import type { LivePage } from "./livePage";
import { holdsView } from "./mapView";
import { wirePanels } from "./panels";
import { remember, showChips } from "./recent";

export function wireControls(page: LivePage): void {
  wirePrompt(page);
  wireLook(page);
  onClick("retry", () => page.resume());
  wirePanels((panel) => page.openPanel(panel), () => page.state.panel);
  wireKeys({
    leaveOff: () => leaveOff(page),
    enterOnMap: () => (page.areas?.isDrawing ? page.areas.finish() : describePlace(page, page.map.getCenter())),
    spaceOnMap: () => page.areas?.addCorner(page.map.getCenter()),
    isMap: (target) => target === page.map.getCanvas(),
  });
}

/** Leave off whatever is going on: playing, drawing, an open panel. */
function leaveOff(page: LivePage): void {
  if (page.time.isPlaying) page.time.stop();
  else if (page.areas?.isDrawing) page.areas.cancel();
  else if (page.state.panel) element("close").click();
}

function wirePrompt(page: LivePage): void {
  const choose = (text: string) => page.choosePrompt(text);
  showChips(choose);
  onInput("prompt", (value) => {
    Object.assign(page.state, { prompt: value, anyway: false });
    void page.ask();
  });
  element("prompt").addEventListener("change", () => {
    page.commit();
    if (remember(page.state.prompt)) showChips(choose);
  });
}

/** Scale, colours, threshold and opacity, and the wish to see a map of words that say nothing. */
function wireLook(page: LivePage): void {
  const { state } = page;
  const sliders = { threshold: 255, opacity: 100 } as const;
  for (const id of ["threshold", "opacity"] as const) {
    onInput(id, (value) => {
      state[id] = Number(value) / sliders[id];
      page.applyLook();
    });
  }
  onInput("colours", (value) => {
    state.colours = value;
    page.applyLook();
  });
  onInput("scale", (value) => {
    page.scale.choose(value);
    void page.ask();
  });
  for (const id of ["threshold", "opacity", "colours", "scale"]) element(id).addEventListener("change", () => page.commit());
  onClick("anyway", () => {
    state.anyway = true;
    page.applyLook();
    page.commit();
  });
}

/** What follows from the map's events, from the choice of another atlas, and from going back in the browser's history. */
export function wireMap(page: LivePage): void {
  const { map } = page;
  map.on("error", (event) => {
    const source = (event as { sourceId?: string }).sourceId;
    if (source === "imagery" && map.getLayer("imagery")) map.removeLayer("imagery"); // it cannot be read from here
    else if (source !== "imagery" && source !== "base-map") console.error(event.error);
  });
  map.on("moveend", () => followView(page));
  map.on("click", (event) => {
    if (!page.areas?.isDrawing) describePlace(page, event.lngLat);
  });
  element("atlas").addEventListener("change", (event) => page.changeAtlas((event.target as HTMLSelectElement).value));
  window.addEventListener("popstate", () => page.restore(location.hash));
}

function describePlace(page: LivePage, { lng, lat }: LngLat): void {
  if (!page.atlas) return;
  page.state.place = [lng, lat];
  page.openPanel("place");
}

/** Note where the map looks, and ask for what the part in hand does not hold. */
function followView(page: LivePage): void {
  if (!page.atlas) return; // the window was sized before there was anything to look at
  const { lng, lat } = page.map.getCenter();
  Object.assign(page.state, { lon: lng, lat, zoom: page.map.getZoom() });
  page.write();
  const part = page.shown?.part;
  if (part && !holdsView(part, page.map)) void page.askInTurn();
}
