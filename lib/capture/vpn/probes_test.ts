import { deepStrictEqual as equals, ok } from "node:assert/strict";
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

Deno.test("makeProbes() looks for a loop again, by another name, but believes what it found for a while", async () => {
  const asked: string[] = [];
  let time = 0;
  let comesBack = false;
  const probes = makeProbes({
    machine: { tell: () => Promise.resolve(), outside: () => Promise.reject(new Error("nobody is there")) },
    pod: {
      async resolve(name) {
        asked.push(name);
        if (comesBack) await probes.answer(encodeMessage(queryFor(1, name, TYPES.A)));
        return { rcode: 3, name, records: [], authority: [] };
      },
    },
    signal: new AbortController().signal,
    now: () => time,
  });
  equals(probes.loops(), true, "until it is known");
  equals([await probes.suspectLoop(), probes.loops()], [false, false]);
  comesBack = true;
  time = 900;
  equals(await probes.suspectLoop(), false);
  time = 1_100;
  equals([await probes.suspectLoop(), probes.loops()], [true, true]);
  equals([asked.length, new Set(asked).size], [2, 2], "what servers keep is no answer");
  ok(asked.every((name) => !/\.(invalid|test|localhost|example)\.$/.test(name)), "nobody answers it by himself");
});
