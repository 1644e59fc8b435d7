import { deepStrictEqual as equals } from "node:assert/strict";
import { splitLines } from "./lines.ts";

Deno.test("splitLines() gives the same lines wherever the text is cut", async () => {
  const text = "one\n\ntwo\nlast";
  for (let at = 0; at <= text.length; at++) {
    const parts = ReadableStream.from([text.slice(0, at), text.slice(at)]);
    equals(await Array.fromAsync(parts.pipeThrough(splitLines())), ["one", "", "two", "last"], `cut at ${at}`);
  }
});
