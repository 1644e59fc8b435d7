/**
 * Writes `build/shims.json`: the preload library and the launcher by architecture, as base64 text, for `main.ts` to embed. Text is
 * what survives every delivery: a bundle that runs by URL can neither read a file beside it nor import bytes.
 *
 * `deno run -A tools/build_shims.ts ARCHITECTURE LIBRARY.so LAUNCHER ...`
 *
 * @module
 */
const shims: Record<string, string> = {};
for (let at = 0; at < Deno.args.length; at += 3) {
  const [arch, library, launcher] = Deno.args.slice(at, at + 3);
  if (arch === undefined || library === undefined || launcher === undefined) {
    throw new Error("usage: build_shims.ts ARCHITECTURE LIBRARY.so LAUNCHER ...");
  }
  shims[arch] = (await Deno.readFile(library)).toBase64();
  shims[`${arch}-launcher`] = (await Deno.readFile(launcher)).toBase64();
}
await Deno.writeTextFile("build/shims.json", JSON.stringify(shims));
