import { deepStrictEqual as equals, strictEqual as equal } from "node:assert/strict";
import { reverseName } from "./control.ts";
import { ownersOf } from "./relays.ts";

Deno.test("ownersOf() reads the kernel's table", () => {
  const table =
    `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  123: 0100007F:D431 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 12345 2 0000000000000000 0
  124: 00000000:D432 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 12346 2 0000000000000000 0`;
  equals([0xd431, 0xd432, 0xd433].map((port) => ownersOf(port, table)), [[1000], [0], []]);
});

Deno.test("reverseName() is the name under which DNS has the names of an address", () => {
  equal(reverseName("10.96.7.8"), "8.7.96.10.in-addr.arpa");
  equal(reverseName("2001:db8::a7"), "7.a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
});
