/**
 * Writes `build/netns.json`: the namespace helpers by architecture, compressed, as base64 text, for `main.ts` to embed
 * (why text: `tools/build_shims.ts`).
 *
 * `deno run -A tools/build_netns.ts ARCH=PROGRAM ...`
 *
 * @module
 */
const helpers: Record<string, string> = {};
for (const word of Deno.args) {
  const [, arch, program] = /^(\w+)=(.+)$/.exec(word) ?? [];
  if (arch === undefined || program === undefined) throw new Error("usage: build_netns.ts ARCH=PROGRAM ...");
  const stream = new Blob([await Deno.readFile(program)]).stream().pipeThrough(new CompressionStream("gzip"));
  helpers[arch] = (await new Response(stream).bytes()).toBase64();
}
await Deno.writeTextFile("build/netns.json", JSON.stringify(helpers));
