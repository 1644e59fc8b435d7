import { strictEqual as equal } from "node:assert/strict";
import { distance, nearest } from "./_nearest.ts";

Deno.test("distance() counts letters put in, left out, changed and swapped", async (t) => {
  const table = [
    ["", "", 0],
    ["", "ab", 2],
    ["ab", "", 2],
    ["abc", "abc", 0],
    ["abc", "acb", 1],
    ["abc", "axc", 1],
    ["recvoer", "recover", 1],
    ["kitten", "sitting", 3],
  ] as const;
  for (const [a, b, want] of table) await t.step(`"${a}" and "${b}"`, () => equal(distance(a, b), want));
});

Deno.test("nearest() gives the best word, and none when all are far", () => {
  const known = ["status", "recover", "version"] as const;
  equal(nearest("statsu", known), "status");
  equal(nearest("versions", known), "version");
  equal(nearest("curl", known), undefined);
  equal(nearest("", known), undefined);
});
