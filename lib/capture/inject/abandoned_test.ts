import { deepStrictEqual as equals } from "node:assert/strict";
import { openEndpoints, partsOf, watchAbandoned } from "./abandoned.ts";

const TABLES = `
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:D431 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0 20 4 30 10 -1
   2: 0100007F:D432 0100007F:1F90 04 00000000:00000000 00:00000000 00000000     0        0 0 1 0 20 4 30 10 -1
  10: 0000000000000000FFFF00000100007F:D433 0000000000000000FFFF00000100007F:1F90 01 00000000:00000000 00:0 0 0 0 3
  11: 00000000000000000000000001000000:D434 00000000000000000000000001000000:1F90 01 00000000:00000000 00:0 0 0 0 3
`;

Deno.test("openEndpoints() reads the kernel's tables", () => {
  equals([...openEndpoints(TABLES)], ["127.0.0.1 54321", "127.0.0.1 54323", "::1 54324"]);
  equals([...openEndpoints("")], []);
});

Deno.test("partsOf() cuts a table between its rows, and loses none", () => {
  const row = TABLES.split("\n")[3] ?? "";
  const rows = Array.from({ length: 2000 }, (_, i) => row.replace("D431", (4096 + i).toString(16).toUpperCase()));
  const text = `${rows.join("\n")}\n${row}`;
  const parts = [...partsOf(text)];
  equals([parts.join("") === text, parts.length > 5], [true, true]);
  equals(parts.flatMap((part) => [...openEndpoints(part)]), [...openEndpoints(text)]);
  equals([...partsOf("")], []);
});

Deno.test("watchAbandoned() tells of an end that is closed, and of no other", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const told: string[] = [];
  await using watch = watchAbandoned({ readTables: () => Promise.resolve(TABLES), lookMs: 1 });
  using _open = watch.add({ address: "127.0.0.1", port: 54321 }, () => told.push("open"));
  using _mapped = watch.add({ address: "127.0.0.1", port: 54323 }, () => told.push("mapped"));
  using _closed = watch.add({ address: "127.0.0.1", port: 54322 }, () => {
    told.push("closed");
    resolve();
  });
  watch.add({ address: "127.0.0.1", port: 1 }, () => told.push("disposed"))[Symbol.dispose]();
  await promise;
  equals(told[0], "closed");
  equals(told.includes("open") || told.includes("mapped") || told.includes("disposed"), false);
});
