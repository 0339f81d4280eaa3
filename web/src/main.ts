/** The live map: the map answers while you type. */

import { wireControls, wireMap } from "./controls";
import { element } from "./elements";
import { LivePage } from "./livePage";

const page = new LivePage();

async function start(): Promise<void> {
  page.showControls();
  wireControls(page);
  element("prompt").focus();
  await page.map.once("load");
  page.addLayers();
  wireMap(page);
  await page.openAtlases();
}

start().catch((error: Error) => page.fail(error));
