import { defineConfig } from "vite";

// Relative addresses, so that the page works under any path of a proxy. MapLibre's worker lies beside the page as a
// file of its own: the server's policy allows no worker made of text.
export default defineConfig({
  base: "./",
  build: {
    outDir: "../src/sat2cap/server/page",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 2000,
    target: "es2022",
  },
});
