import { deepStrictEqual as equals, strictEqual as equal } from "node:assert/strict";
import { reverseName } from "./control.ts";
import { ownersOf } from "./relays.ts";

Deno.test("ownersOf() reads the kernel's table: who can have sent from an end, and not who has its port elsewhere", () => {
  const table =
    `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  123: 0100007F:D431 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 12345 2 0000000000000000 0
  124: 0200007F:D431 00000000:0000 07 00000000:00000000 00:00000000 00000000  1001        0 12346 2 0000000000000000 0
  125: 00000000:D432 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 12346 2 0000000000000000 0
  126: 00000000000000000000000001000000:D433 00000000000000000000000000000000:0000 07 0:0 00:0 0  1000  0 12347 2 0 0
  127: 00000000000000000000000000000000:D434 00000000000000000000000000000000:0000 07 0:0 00:0 0  1000  0 12348 2 0 0`;
  const owners = (address: string, port: number) => ownersOf({ address, port }, table);
  equals([owners("127.0.0.1", 0xd431), owners("127.0.0.2", 0xd431)], [[1000], [1001]]);
  equals([owners("127.0.0.1", 0xd432), owners("::1", 0xd433), owners("::ffff:127.0.0.1", 0xd434)], [[0], [1000], [
    1000,
  ]]);
  equals([owners("127.0.0.3", 0xd431), owners("127.0.0.1", 0xd433), owners("127.0.0.1", 0xd435)], [[], [], []]);
});

Deno.test("reverseName() is the name under which DNS has the names of an address", () => {
  equal(reverseName("10.96.7.8"), "8.7.96.10.in-addr.arpa");
  equal(reverseName("2001:db8::a7"), "7.a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
});
