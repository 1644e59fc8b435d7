import { deepStrictEqual as equals } from "node:assert/strict";
import { findOwners, parseTable, type ProcessTable } from "./owners.ts";

const HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
const line = (local: string, inode: number) =>
  `   0: ${local} 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 ${inode} 1 0 20 4 30 10 -1`;

Deno.test("parseTable() reads the kernel's addresses: IPv4, IPv6, and IPv4 in IPv6", () => {
  const text = [
    HEAD,
    line("0100007F:D431", 7),
    line("B80D0120000000000000000001000000:0050", 8),
    line("0000000000000000FFFF00000A0000C0:0051", 9),
    line("0100007F:0001", 0),
    "garbage",
    "",
  ].join("\n");
  equals(parseTable(text), [
    { key: "127.0.0.1 54321", inode: "7" },
    { key: "2001:db8::1 80", inode: "8" },
    { key: "192.0.0.10 81", inode: "9" },
  ]);
});

/** A machine of two network namespaces: ours, and the one that process 20 is in. */
const MACHINE: Readonly<Record<string, string | readonly string[]>> = {
  "/proc": ["self", "10", "20", "cpuinfo"],
  "/proc/self/ns/net": "net:[1]",
  "/proc/10/ns/net": "net:[1]",
  "/proc/20/ns/net": "net:[2]",
  "/proc/self/net/tcp": `${HEAD}\n${line("0100007F:D431", 7)}\n`,
  "/proc/20/net/tcp": `${HEAD}\n${line("020000C0:1F90", 8)}\n${line("0100007F:D431", 9)}\n`,
  "/proc/10/fd": ["0", "3"],
  "/proc/10/fd/0": "/dev/null",
  "/proc/10/fd/3": "socket:[7]",
  "/proc/10/comm": "curl\n",
  "/proc/20/fd": ["5", "6"],
  "/proc/20/fd/5": "socket:[8]",
  "/proc/20/fd/6": "socket:[9]",
  "/proc/20/comm": "server\n",
};
const TABLE: ProcessTable = {
  list: (path) => Promise.resolve(Array.isArray(MACHINE[path]) ? MACHINE[path] : []),
  read: (path) => Promise.resolve(String(MACHINE[path] ?? "")),
  link: (path) => Promise.resolve(String(MACHINE[path] ?? "")),
};

Deno.test("findOwners() finds who has which end, in our network namespace first and then in the others", async () => {
  const addresses = [{ host: "127.0.0.1", port: 54321 }, { host: "192.0.0.2", port: 8080 }, {
    host: "10.0.0.1",
    port: 1,
  }];
  equals([...await findOwners(addresses, TABLE)], [
    ["127.0.0.1 54321", { pid: 10, program: "curl" }],
    ["192.0.0.2 8080", { pid: 20, program: "server" }],
  ]);
  equals([...await findOwners([], TABLE)], []);
});

Deno.test("findOwners() finds a connection of this very process", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  using conn = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  using _accepted = await listener.accept();
  const { port } = conn.localAddr;
  const found = await findOwners([{ host: "127.0.0.1", port }]);
  equals(found.get(`127.0.0.1 ${port}`)?.pid, Deno.pid);
});
