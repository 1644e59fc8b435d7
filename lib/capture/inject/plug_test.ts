import { strictEqual as equal } from "node:assert/strict";
import { plugBytes } from "./plug.ts";

Deno.test("plugBytes() is more than a receiver can hold, and none where that would take long", () => {
  const wmem = "4096\t16384\t4194304\n";
  const cases: [rmem: string, wmem: string, release: string, want: number | undefined][] = [
    ["4096\t131072\t33554432\n", wmem, "6.18.44-cloud", 262_144],
    ["4096\t1048576\t6291456\n", wmem, "5.15.0-101-generic", 1_179_648],
    ["4096\t6291456\t6291456\n", wmem, "5.15.0-101-generic", undefined],
    ["4096\t131072\t6291456\n", "4096\t16384\t131072\n", "5.15.0-101-generic", undefined],
    ["4096\t87380\t6291456\n", wmem, "4.18.0-553.el8_10.x86_64", 524_288],
    ["4096\t87380\t6291456\n", wmem, "4.20.1", 218_452],
    ["", "", "6.1.0", 262_144],
  ];
  for (const [rmem, sent, release, want] of cases) equal(plugBytes({ rmem, wmem: sent, release }), want);
});
