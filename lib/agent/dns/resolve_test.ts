import { deepStrictEqual as equals, ok, rejects } from "node:assert/strict";
import { createSocket } from "node:dgram";
import ipaddr from "ipaddr.js";
import { type DnsRecord, RCODES, TYPES } from "@/dns/mod.ts";
import { LookupError } from "@/pod/mod.ts";
import { readFull, writeAll } from "@/util/mod.ts";
import { resolve, reverseName } from "./resolve.ts";

const { A, AAAA, TXT } = TYPES;

/** How a server of these tests answers a name; it keeps what it was asked. */
type Zone = (
  name: string,
  by: "udp" | "tcp",
  type: number,
) => "NXDOMAIN" | "NODATA" | "SERVFAIL" | "FORMERR" | "cut" | "broken" | "silence" | string;

interface Server extends AsyncDisposable {
  readonly port: number;
  readonly asked: string[];
}

/** A name server on a loopback address: TXT records with the zone's text, or its address, by UDP and TCP. */
async function startServer(zone: Zone, { hostname = "127.0.0.1", port = 0 } = {}): Promise<Server> {
  const asked: string[] = [];
  const answer = (query: Uint8Array, by: "udp" | "tcp"): Uint8Array | undefined => {
    const labels: string[] = [];
    let at = 12;
    for (let size; (size = query[at] ?? 0) > 0; at += 1 + size) {
      labels.push(new TextDecoder().decode(query.subarray(at + 1, at + 1 + size)));
    }
    const name = labels.join(".");
    const edns = query[11] === 1;
    const type = query[at + 2] ?? 0;
    asked.push(`${by} ${name}${type === TXT ? "" : ` ${type}`}`);
    const fate = zone(name, by, type);
    if (fate === "silence") return undefined;
    const codes: Record<string, number> = { NXDOMAIN: 3, NODATA: 0, SERVFAIL: 2, FORMERR: edns ? 1 : 0, cut: 0 };
    const text = fate === "FORMERR" && !edns ? "plain" : fate;
    const has = codes[fate] === undefined || text === "plain";
    const bytes = new TextEncoder().encode(text);
    const data = type === TXT ? [bytes.length, ...bytes] : has ? ipaddr.parse(text).toByteArray() : [];
    const records = has ? [0xc0, 12, 0, type, 0, 1, 0, 0, 0, 9, 0, data.length, ...data] : [];
    const flags = [0x81 | (fate === "cut" ? 2 : 0), 0x80 | (codes[fate] ?? 0)];
    const head = [query[0] ?? 0, query[1] ?? 0, ...flags, 0, 1, 0, has ? 1 : 0, 0, 0, 0, 0];
    const whole = new Uint8Array([...head, ...query.subarray(12, at + 5), ...records]);
    return fate === "broken" ? whole.subarray(0, -1) : whole;
  };
  const tcp = Deno.listen({ hostname, port });
  const accepting = (async () => {
    for await (const conn of tcp) {
      const size = new Uint8Array(2);
      await readFull(conn, size);
      const query = new Uint8Array((size[0] ?? 0) << 8 | (size[1] ?? 0));
      await readFull(conn, query);
      const reply = answer(query, "tcp");
      if (reply) await writeAll(conn, new Uint8Array([reply.length >> 8, reply.length & 255, ...reply]));
      conn.close();
    }
  })();
  const udp = createSocket("udp4");
  udp.on("message", (query: Uint8Array, from) => {
    const reply = answer(query, "udp");
    if (reply) udp.send(reply, from.port, from.address);
  });
  await new Promise<void>((resolve) => udp.bind(tcp.addr.port, hostname, resolve));
  return {
    port: tcp.addr.port,
    asked,
    async [Symbol.asyncDispose]() {
      udp.close();
      tcp.close();
      await accepting;
    },
  };
}

interface Given {
  readonly conf: string;
  readonly hosts?: string;
  readonly port: number;
}

/** Resolves with files that a test wrote. */
async function resolveWith(name: string, type: number, { conf, hosts = "", port }: Given) {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${directory}/resolv.conf`, conf);
    await Deno.writeTextFile(`${directory}/hosts`, hosts);
    return await resolve(name, type, { resolvConf: `${directory}/resolv.conf`, hosts: `${directory}/hosts`, port });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const textOf = (record: DnsRecord | undefined) =>
  record?.data.type === "TXT" ? new TextDecoder().decode(record.data.texts[0]) : undefined;

Deno.test("resolve() goes through the search list as libc does, and says which name answered", async () => {
  await using server = await startServer((name) => name === "web.b" ? "here" : "NXDOMAIN");
  const conf = "nameserver 127.0.0.1\nsearch a b\noptions ndots:5 timeout:1 attempts:1\n";
  const { name, rcode, records } = await resolveWith("web", TXT, { conf, port: server.port });
  equals({ name, rcode, text: textOf(records[0]) }, { name: "web.b", rcode: RCODES.NOERROR, text: "here" });
  equals(server.asked, ["udp web.a", "udp web.b"]);
});

Deno.test("resolve() asks for a name with enough dots as it is first, and for one with a last dot alone", async () => {
  await using server = await startServer(() => "NXDOMAIN");
  const conf = "nameserver 127.0.0.1\nsearch a\n";
  equals((await resolveWith("x.y", TXT, { conf, port: server.port })).rcode, RCODES.NXDOMAIN);
  await resolveWith("x.", TXT, { conf, port: server.port });
  equals(server.asked, ["udp x.y", "udp x.y.a", "udp x"]);
});

Deno.test("resolve() tells a name without such records from a name that is not there", async () => {
  await using server = await startServer((name) => name === "x.a" ? "NODATA" : "NXDOMAIN");
  const conf = "nameserver 127.0.0.1\nsearch a b\n";
  const { rcode, name, records } = await resolveWith("x", TXT, { conf, port: server.port });
  equals({ rcode, name, records }, { rcode: RCODES.NOERROR, name: "x.a", records: [] });
});

Deno.test("resolve() takes both families from one name of the search list, as getaddrinfo does", async () => {
  // A Service `web` in the namespace `dev`, and a host of the world with that name, which has both.
  const given = { conf: "nameserver 127.0.0.1\nsearch a.svc svc\noptions ndots:5\n", hosts: "" };
  const ofTheWorld = (type: number) => type === A ? "192.0.2.1" : "2001:db8::1";
  await using server = await startServer((name, _by, type) => {
    if (name === "web.dev") return ofTheWorld(type);
    if (name !== "web.dev.svc") return "NXDOMAIN";
    return type === A ? "10.96.0.7" : "NODATA";
  });
  const found = await resolveWith("web.dev", A, { ...given, port: server.port });
  equals([found.name, found.records[0]?.data], ["web.dev.svc", { type: "A", address: "10.96.0.7" }]);
  const { rcode, name, records } = await resolveWith("web.dev", AAAA, { ...given, port: server.port });
  equals({ rcode, name, records }, { rcode: RCODES.NOERROR, name: "web.dev.svc", records: [] });
});

Deno.test("resolve() passes over a name of the search list that has addresses of neither family", async () => {
  await using server = await startServer((name) => name === "x.a" ? "NODATA" : "2001:db8::1");
  const conf = "nameserver 127.0.0.1\nsearch a\n";
  const { name, records } = await resolveWith("x", AAAA, { conf, port: server.port });
  equals([name, records[0]?.data], ["x", { type: "AAAA", address: "2001:db8::1" }]);
  equals(server.asked, ["udp x.a 28", "udp x.a 1", "udp x 28"]);
});

Deno.test("resolve() goes no further than a name whose other family cannot be asked for now", async () => {
  await using server = await startServer((name, _by, type) => {
    if (name !== "x.a") return "2001:db8::1";
    return type === A ? "SERVFAIL" : "NODATA";
  });
  const conf = "nameserver 127.0.0.1\nsearch a\noptions timeout:1 attempts:1\n";
  const { rcode, name, records } = await resolveWith("x", AAAA, { conf, port: server.port });
  equals({ rcode, name, records }, { rcode: RCODES.NOERROR, name: "x.a", records: [] });
});

Deno.test("resolve() asks by TCP when an answer was cut, and without EDNS where that is not known", async () => {
  await using server = await startServer((name, by) => name === "old" ? "FORMERR" : by === "udp" ? "cut" : "whole");
  const conf = "nameserver 127.0.0.1\n";
  equals(textOf((await resolveWith("long", TXT, { conf, port: server.port })).records[0]), "whole");
  equals(textOf((await resolveWith("old", TXT, { conf, port: server.port })).records[0]), "plain");
  equals(server.asked, ["udp long", "tcp long", "udp old", "udp old"]);
});

Deno.test("resolve() goes on to the next server when one fails or is silent", async () => {
  await using first = await startServer(() => "SERVFAIL");
  await using second = await startServer(() => "second", { hostname: "127.0.0.2", port: first.port });
  const conf = "nameserver 127.0.0.1\nnameserver 127.0.0.2\n";
  equals(textOf((await resolveWith("x", TXT, { conf, port: first.port })).records[0]), "second");
  ok(second.asked.length === 1);
});

Deno.test("resolve() rejects with EAI_AGAIN when no server answers, and EAI_NONAME for what is no name", async () => {
  await using server = await startServer(() => "silence");
  const conf = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n";
  const has = (code: string) => (error: unknown) => error instanceof LookupError && error.code === code;
  await rejects(resolveWith("x", TXT, { conf, port: server.port }), has("EAI_AGAIN"));
  await rejects(resolveWith("x..y", TXT, { conf, port: server.port }), has("EAI_NONAME"));
});

Deno.test("resolve() has the hosts file before the servers: addresses, no address of the other family, PTR", async () => {
  await using server = await startServer(() => "NXDOMAIN");
  const given = {
    conf: "nameserver 127.0.0.1\n",
    hosts: "10.1.2.3 Alias alias.example\nfd00::7 six\n",
    port: server.port,
  };
  equals((await resolveWith("alias", 1, given)).records[0]?.data, { type: "A", address: "10.1.2.3" });
  equals(await resolveWith("ALIAS.", 28, given), { rcode: 0, name: "alias", records: [], authority: [] });
  equals((await resolveWith("six", 28, given)).records[0]?.data, { type: "AAAA", address: "fd00::7" });
  const pointer = await resolveWith("3.2.1.10.in-addr.arpa", 12, given);
  equals(pointer.records[0]?.data, { type: "PTR", target: "Alias" });
  equals(server.asked, []);
});

Deno.test("resolve() passes over a domain that makes the name too long", async () => {
  await using server = await startServer((name) => name.endsWith(".b") ? "here" : "NXDOMAIN");
  const conf = `nameserver 127.0.0.1\nsearch ${"long.".repeat(40)}a b\n`;
  const name = `${"x".repeat(60)}.y`;
  equals((await resolveWith(name, TXT, { conf, port: server.port })).name, `${name}.b`);
  equals(server.asked, [`udp ${name}`, `udp ${name}.b`]);
});

Deno.test("resolve() asks again, and does not say that the name is none, when an answer is broken", async () => {
  await using server = await startServer((_name, by) => by === "udp" ? "cut" : "broken");
  const conf = "nameserver 127.0.0.1\noptions timeout:1 attempts:2\n";
  await rejects(resolveWith("x", TXT, { conf, port: server.port }), (error: unknown) => {
    return error instanceof LookupError && error.code === "EAI_AGAIN";
  });
  equals(server.asked.length, 4);
});

Deno.test("reverseName() knows every form of an address", () => {
  equals(reverseName("10.1.2.3"), "3.2.1.10.in-addr.arpa");
  equals(reverseName("::1"), `1${".0".repeat(31)}.ip6.arpa`);
  equals(reverseName("fe80::1%eth0"), reverseName("fe80::1"));
});
