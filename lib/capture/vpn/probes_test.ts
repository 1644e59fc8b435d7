import { deepStrictEqual as equals } from "node:assert/strict";
import { encodeMessage, queryFor, TYPES } from "@/dns/mod.ts";
import { makeProbes } from "./probes.ts";

/** Probes on a machine on whose way datagrams are lost: `told` are its orders, and `hears` says which come by. */
function probesOf(hears: (count: number) => boolean) {
  const told: string[][] = [];
  const ending = new AbortController();
  const probes = makeProbes({
    machine: {
      tell(...words) {
        told.push(words);
        if (hears(told.length)) void probes.answer(encodeMessage(queryFor(1, words[2] ?? "", TYPES.A)));
        return Promise.resolve();
      },
      outside: () => Promise.reject(new Error("nobody is there")),
    },
    pod: { resolve: () => Promise.reject(new Error("no answer")) },
    signal: ending.signal,
  });
  return { probes, told, [Symbol.dispose]: () => ending.abort() };
}

const RESOLVER = { servers: ["192.0.2.53"], search: [] };

Deno.test("makeProbes() asks again when its question is lost on its way through the machine", async () => {
  using lossy = probesOf((count) => count === 3);
  await lossy.probes.begin(RESOLVER);
  equals(lossy.told.length, 3);
  equals(new Set(lossy.told.map((words) => words.join(" "))).size, 1, "the same question each time");
});
