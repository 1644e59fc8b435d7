/**
 * Writes `build/netns.json`: the namespace helpers by architecture, compressed, as base64 text, for `main.ts` to embed
 * (why text: `tools/build_shims.ts`).
 *
 * `deno run -A tools/build_netns.ts PROGRAM`
 *
 * @module
 */
const [program] = Deno.args;
if (program === undefined) throw new Error("usage: build_netns.ts PROGRAM");
const stream = new Blob([await Deno.readFile(program)]).stream().pipeThrough(new CompressionStream("gzip"));
const helpers = { [Deno.build.arch]: (await new Response(stream).bytes()).toBase64() };
await Deno.writeTextFile("build/netns.json", JSON.stringify(helpers));
