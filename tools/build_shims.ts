/**
 * Writes `build/shims.json`: the preload library and the launcher by architecture, as base64 text, for `main.ts` to embed. Text is
 * what survives every delivery: a bundle that runs by URL can neither read a file beside it nor import bytes.
 *
 * `deno run -A tools/build_shims.ts LIBRARY.so LAUNCHER`
 *
 * @module
 */
const [library, launcher] = Deno.args;
if (library === undefined || launcher === undefined) throw new Error("usage: build_shims.ts LIBRARY.so LAUNCHER");
const { arch } = Deno.build;
const shims = {
  [arch]: (await Deno.readFile(library)).toBase64(),
  [`${arch}-launcher`]: (await Deno.readFile(launcher)).toBase64(),
};
await Deno.writeTextFile("build/shims.json", JSON.stringify(shims));
