/**
 * Writes `build/shims.json`: the preload libraries by architecture, as base64 text, for `main.ts` to embed. Text is
 * what survives every delivery: a bundle that runs by URL can neither read a file beside it nor import bytes.
 *
 * `deno run -A tools/build_shims.ts LIBRARY.so`
 *
 * @module
 */
const [library] = Deno.args;
if (library === undefined) throw new Error("usage: build_shims.ts LIBRARY.so");
const shims = { [Deno.build.arch]: (await Deno.readFile(library)).toBase64() };
await Deno.writeTextFile("build/shims.json", JSON.stringify(shims));
