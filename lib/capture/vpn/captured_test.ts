import { deepStrictEqual as equals } from "node:assert/strict";
import { keepCaptured } from "./captured.ts";
import { parseRange } from "./ranges.ts";

const ranges = (...texts: string[]) => texts.flatMap((text) => parseRange(text) ?? []);

Deno.test("keepCaptured() tells each thing once, and never what means this machine", async () => {
  const told: string[] = [];
  const captured = keepCaptured(
    { tell: (...words) => Promise.resolve(void told.push(words.join(" "))) },
    (address) => address === "192.168.1.5",
  );
  await captured.exclude(ranges("10.96.5.5", "10.96.5.5"));
  await captured.addRanges(ranges("10.96.0.0/16", "10.96.1.0/24"));
  await captured.add([
    "10.96.1.1",
    "10.7.7.7",
    "10.7.7.7",
    "127.0.0.1",
    "192.168.1.5",
    "fe80::1",
    "0.0.0.0",
    "10.96.5.5",
  ]);
  equals(told, ["except 10.96.5.5/32", "capture 10.96.0.0/16", "capture 10.7.7.7/32"]);
  equals(["10.96.1.1", "10.96.5.5", "10.7.7.7", "10.7.7.8"].map(captured.has), [true, false, true, false]);
});

Deno.test("keepCaptured() has the narrower of two decide, as routes do", async () => {
  const captured = keepCaptured({ tell: () => Promise.resolve() }, () => false);
  await captured.addRanges(ranges("10.0.0.0/8"));
  await captured.exclude(ranges("10.96.0.0/16"));
  equals(["10.96.1.1", "10.95.1.1"].map(captured.has), [false, true]);
});

Deno.test("keepCaptured() leaves alone what is left alone, whatever narrower range is asked for", async () => {
  const told: string[] = [];
  const captured = keepCaptured(
    { tell: (...words) => Promise.resolve(void told.push(words.join(" "))) },
    () => false,
  );
  await captured.exclude(ranges("10.0.0.0/8", "203.0.113.7"));
  await captured.addRanges(ranges("10.1.2.0/24", "10.0.0.0/8", "203.0.113.0/24"));
  await captured.add(["10.1.2.3", "203.0.113.7"]);
  equals(told, ["except 10.0.0.0/8", "except 203.0.113.7/32", "capture 203.0.113.0/24"]);
  equals(["10.1.2.3", "203.0.113.7", "203.0.113.8"].map(captured.has), [false, false, true]);
});

Deno.test("keepCaptured() has an end, for a name server that makes names of everything", async () => {
  let told = 0;
  const captured = keepCaptured({ tell: () => Promise.resolve(void told++) }, () => false);
  for (let i = 0; i < 2000; i++) await captured.add([`10.${i >> 8}.${i & 255}.1`]);
  equals(told, 1024);
});
