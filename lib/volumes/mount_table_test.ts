import { deepStrictEqual as equals } from "node:assert/strict";
import { parseMountTable } from "./mount_table.ts";

Deno.test("parseMountTable() reads paths with blanks and other odd characters", () => {
  const table = [
    "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw",
    "36 22 0:31 /sub /a\\040b\\134c rw,nosuid - fuse.sshfs pod:/ rw",
    "37 22 0:32 / /t\\011n\\012ü rw - tmpfs tmpfs rw",
    "",
  ].join("\n");
  equals(parseMountTable(table), ["/", "/a b\\c", "/t\tn\nü"]);
});
