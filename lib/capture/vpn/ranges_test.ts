import { deepStrictEqual as equals } from "node:assert/strict";
import { coverOf, covers, formatRange, overlap, parseRange, type Range } from "./ranges.ts";

const range = (text: string): Range => parseRange(text) ?? { base: `no range: ${text}`, bits: 0 };

Deno.test("parseRange() reads addresses and ranges of both families, host bits or not", () => {
  const cases = {
    "10.0.0.7": "10.0.0.7/32",
    "10.1.2.3/8": "10.0.0.0/8",
    "10.255.255.255/9": "10.128.0.0/9",
    "0.0.0.0/0": "0.0.0.0/0",
    "fd00::7/64": "fd00::/64",
    "FD00:0:0::7": "fd00::7/128",
    "::ffff:10.0.0.7": "10.0.0.7/32",
  };
  for (const [text, want] of Object.entries(cases)) equals(formatRange(range(text)), want);
  for (const text of ["", "db.example", "10.0.0", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/8/8", "fd00::/129", "0x7f.1"]) {
    equals(parseRange(text), undefined, text);
  }
});

Deno.test("covers() and overlap() compare within one family", () => {
  equals(covers(range("10.0.0.0/8"), range("10.96.0.0/12")), true);
  equals(covers(range("10.96.0.0/12"), range("10.0.0.0/8")), false);
  equals(overlap(range("10.96.0.0/12"), range("10.0.0.0/8")), true);
  equals(overlap(range("10.96.0.0/16"), range("10.97.0.0/16")), false);
  equals(overlap(range("::/0"), range("10.0.0.0/8")), false);
});

Deno.test("coverOf() takes in the neighborhood of private addresses, and no more than a /16 of it", () => {
  const cases: readonly { seen: string[]; want: string[] }[] = [
    { seen: [], want: [] },
    { seen: ["10.43.240.1"], want: ["10.43.240.0/24"] },
    { seen: ["10.43.240.1", "10.43.246.209"], want: ["10.43.240.0/21"] },
    { seen: ["10.1.0.1", "10.200.0.1"], want: ["10.1.0.0/24", "10.200.0.0/24"] },
    { seen: ["8.8.8.8", "8.8.8.9"], want: ["8.8.8.8/32", "8.8.8.9/32"] },
    { seen: ["fd00:96::7", "fd00:96::1:7"], want: ["fd00:96::/111"] },
    { seen: ["10.0.0.1", "fd00::1"], want: ["10.0.0.0/24", "fd00::/120"] },
  ];
  for (const { seen, want } of cases) equals(coverOf(seen).map(formatRange), want);
});
