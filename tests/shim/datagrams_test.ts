/** UDP, and the DNS that programs speak themselves. */
import { deepStrictEqual as equals, match, ok, strictEqual as equal } from "node:assert/strict";
import { createSocket } from "node:dgram";
import type { FakeCluster } from "./fake_pod.ts";
import { hasProgram, openWorld, runToEnd } from "./harness.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (datagram: Uint8Array) => new TextDecoder().decode(datagram);

/** Peers that answer with their own name before what they got. */
function peer(name: string) {
  return (payload: Uint8Array) => [bytes(`${name}:${text(payload)}`)];
}

const COMPILERS = ["gcc", "musl-gcc"];

Deno.test("Datagrams go to the pod's peers and come from them, in every form", async (t) => {
  const local = createSocket("udp4");
  await new Promise<void>((resolve) => local.bind(0, "127.0.0.1", resolve));
  local.on("message", (payload, { port, address }) => local.send(`local:${payload}`, port, address));
  await using world = await openWorld({
    services: {},
    names: {},
    peers: { "10.96.7.7 7": peer("a"), "10.96.7.8 7": peer("b"), "2001:db8::7 7": peer("six") },
  });
  await world.capture.show({ files: [], addresses: ["10.244.0.9", "fd00:244::9"] });
  const port = `${local.address().port}`;
  for (const compiler of COMPILERS) {
    await t.step({
      name: compiler,
      ignore: !await hasProgram(compiler),
      async fn() {
        const program = await world.compile("datagrams.c", [], compiler);
        const command = [program, "10.96.7.7", "10.96.7.8", "2001:db8::7", "7", "127.0.0.1", port] as const;
        const { stdout, stderr } = await world.run([...command]);
        equals(stdout.split("\n"), [
          "unconnected: a:unconnected from 10.96.7.7 7",
          "again: a:again from 10.96.7.7 7",
          "to another peer by the same socket: b:to another peer by the same socket from 10.96.7.8 7",
          `to this machine by the same socket: local:to this machine by the same socket from 127.0.0.1 ${port}`,
          "v4-mapped: a:v4-mapped from ::ffff:10.96.7.7 7",
          "IPv6: six:IPv6 from 2001:db8::7 7",
          "IPv6 alone: six:IPv6 alone from 2001:db8::7 7",
          "connected: a:connected from 10.96.7.7 7",
          "connected: peer 10.96.7.7 7, own 10.244.0.9 0",
          "sent after a disconnect: a:sent after a disconnect from 10.96.7.7 7",
          "connected, v4-mapped: a:connected, v4-mapped from ::ffff:10.96.7.7 7",
          "connected, v4-mapped: peer ::ffff:10.96.7.7 7, own ::ffff:10.244.0.9 0",
          "sent after a disconnect: a:sent after a disconnect from ::ffff:10.96.7.7 7",
          "connected, IPv6: six:connected, IPv6 from 2001:db8::7 7",
          "connected, IPv6: peer 2001:db8::7 7, own ::ffff:10.244.0.9 0",
          "sent after a disconnect: six:sent after a disconnect from 2001:db8::7 7",
          "sendmsg: 3",
          "recvmsg: a:one from 10.96.7.7 7",
          "sendmmsg: 2, 3 and 3 bytes",
          "recvmmsg: 2",
          "a small room: length 16, the byte behind it ee",
          "nobody asks where from: 3 bytes",
          "what a child receives: a:child from 10.96.7.7 7",
          "multicast stays here: ok",
          "sendto nowhere: EINVAL",
          "",
        ]);
        equal(stderr, "");
      },
    });
  }
  await new Promise<void>((resolve) => local.close(() => resolve()));
});

const CLUSTER: FakeCluster = {
  services: {},
  names: { hello: ["10.96.7.7", "2001:db8::7"] },
  records: {
    hello: [{ type: "TXT", texts: [bytes("x".repeat(100))] }],
    "_http._tcp.hello": [{ type: "SRV", priority: 0, weight: 1, port: 80, target: "hello" }],
    "7.7.96.10.in-addr.arpa": [{ type: "PTR", target: "hello.default.svc.cluster.local" }],
    "8.7.96.10.in-addr.arpa": [],
    "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa": [{ type: "PTR", target: "six.hello" }],
  },
};

const RECORDS = `
res_query, SRV: 59 bytes, 1 records, rcode 0
errno stays: 1
res_query, TXT: 136 bytes, 1 records, rcode 0
res_query, A: 39 bytes, 1 records, rcode 0
res_query, no such record: h_errno 4
res_query, no such name: h_errno 1
res_query, no answer: h_errno 2
res_query, no name: h_errno 3
res_query, a long label: h_errno 3
res_query, a small room: 136 bytes, 1 records, rcode 0, truncated
res_query, no room: h_errno 2
res_query, an escaped dot: 136 bytes, 1 records, rcode 0
res_search: 136 bytes, 1 records, rcode 0
res_querydomain: 59 bytes, 1 records, rcode 0
res_send: 136 bytes, 1 records, rcode 0
the id is that of the query: 1
res_send, no query: -1
gethostbyaddr: hello.default.svc.cluster.local 10.96.7.7 1
gethostbyaddr, IPv6: six.hello 2001:db8::7 1
gethostbyaddr_r: 0 hello.default.svc.cluster.local
gethostbyaddr_r, a small room: ERANGE 1
getnameinfo: 0 hello.default.svc.cluster.local 80
getnameinfo, a small room: EAI_OVERFLOW
gethostbyaddr, none: h_errno 1
getnameinfo, none: 0 10.96.7.8
getnameinfo, one is required: EAI_NONAME
`.trim().split("\n");

const RECORDS_OF_GLIBC = `
res_nquery: 136 bytes, 1 records, rcode 0
res_nsearch, no such name: h_errno 1
its state: 1
res_nquerydomain: 59 bytes, 1 records, rcode 0
res_nsend: 136 bytes, 1 records, rcode 0
getaddrinfo_a: 0, 0 1, 1 signals
`.trim().split("\n");

Deno.test("The res_ functions and names of addresses are the pod's", async (t) => {
  await using world = await openWorld(CLUSTER);
  for (const [compiler, flags, more] of [["gcc", ["-lresolv"], RECORDS_OF_GLIBC], ["musl-gcc", [], []]] as const) {
    await t.step({
      name: compiler,
      ignore: !await hasProgram(compiler),
      async fn() {
        const program = await world.compile("records.c", flags, compiler);
        const { stdout, stderr } = await world.run([program]);
        equals(stdout.trimEnd().split("\n"), [...RECORDS, ...more]);
        equal(stderr, "");
      },
    });
  }
});

const RESOLVERS: readonly { name: string; command: readonly [string, ...string[]]; want: string }[] = [
  {
    name: "node: dns.resolve (c-ares)",
    command: [
      "node",
      "-e",
      `const { promises: dns, getServers } = require("dns");
(async () => {
  console.log(await dns.resolve4("hello"), await dns.resolve6("hello"), getServers());
  console.log(await dns.resolveSrv("_http._tcp.hello"));
  console.log((await dns.resolveTxt("hello"))[0][0].length, await dns.reverse("10.96.7.7"));
  console.log(await dns.resolve4("absent").catch((e) => e.code));
})();`,
    ],
    want: `[ '10.96.7.7' ] [ '2001:db8::7' ] [ '192.0.0.8' ]
[ { name: 'hello', port: 80, priority: 0, weight: 1 } ]
100 [ 'hello.default.svc.cluster.local' ]
ENOTFOUND
`,
  },
  { name: "dig", command: ["dig", "+short", "hello"], want: "10.96.7.7\n" },
  {
    name: "dig over TCP",
    command: ["dig", "+short", "+tcp", "-t", "SRV", "_http._tcp.hello"],
    want: "0 1 80 hello.\n",
  },
  { name: "dig -x", command: ["dig", "+short", "-x", "10.96.7.7"], want: "hello.default.svc.cluster.local.\n" },
  { name: "host", command: ["host", "-t", "A", "hello"], want: "hello has address 10.96.7.7\n" },
  {
    name: "java: JNDI",
    command: ["java", "{java}"],
    want: "SRV: 0 1 80 hello.\n",
  },
  {
    name: "perl: gethostbyaddr",
    command: ["perl", "-MSocket", "-e", 'print scalar gethostbyaddr(inet_aton("10.96.7.7"), AF_INET)'],
    want: "hello.default.svc.cluster.local",
  },
  {
    name: "python: getnameinfo and getfqdn",
    command: [
      "python3",
      "-c",
      `import socket; print(socket.getnameinfo(("10.96.7.7", 80), 0)[0], socket.gethostbyaddr("10.96.7.7")[0], socket.getfqdn("10.96.7.7"))`,
    ],
    want: `${"hello.default.svc.cluster.local ".repeat(3).trim()}\n`,
  },
  {
    name: "deno: resolveDns",
    command: ["deno", "eval", `console.log(await Deno.resolveDns("hello", "A"))`],
    want: `[ "10.96.7.7" ]\n`,
  },
];

const JAVA = `
import javax.naming.directory.*; import java.util.*;
class Main { public static void main(String[] a) throws Exception {
  var env = new Hashtable<String, String>(Map.of("java.naming.factory.initial", "com.sun.jndi.dns.DnsContextFactory"));
  System.out.println(new InitialDirContext(env).getAttributes("_http._tcp.hello", new String[] {"SRV"}).get("SRV"));
} }
`;

Deno.test("Programs that speak DNS themselves ask the pod", async (t) => {
  await using world = await openWorld(CLUSTER);
  const sources = await Deno.makeTempDir({ prefix: "telepresence-test-" });
  try {
    await Deno.writeTextFile(`${sources}/Main.java`, JAVA);
    for (const { name, command, want } of RESOLVERS) {
      await t.step({
        name,
        ignore: !await hasProgram(command[0]),
        async fn() {
          const [first, ...words] = command.map((word) => word === "{java}" ? `${sources}/Main.java` : word);
          const { stdout, stderr } = await world.run([first ?? "", ...words], {
            env: { HOME: sources, NO_COLOR: "1", LC_ALL: "C" },
          });
          equal(stdout, want, stderr);
        },
      });
    }
  } finally {
    await Deno.remove(sources, { recursive: true });
  }
});

Deno.test("A server that binds to the pod's own address is on the loopback, where exposed ports arrive", async () => {
  await using world = await openWorld({ services: {}, names: {} });
  await world.capture.show({ files: [], addresses: ["10.244.0.9"] });
  const script = `
import socket
for family, kind, address in (socket.AF_INET, socket.SOCK_STREAM, "10.244.0.9"), (socket.AF_INET, socket.SOCK_DGRAM, "10.244.0.9"), (socket.AF_INET6, socket.SOCK_STREAM, "::ffff:10.244.0.9"):
    s = socket.socket(family, kind)
    s.bind((address, 0))
    print(s.getsockname()[0])
try: socket.socket().bind(("10.244.0.10", 0))
except OSError as e: print(e.strerror)
`;
  const { stdout, stderr } = await world.run(["python3", "-c", script]);
  equal(stdout, "127.0.0.1\n127.0.0.1\n::ffff:127.0.0.1\nCannot assign requested address\n", stderr);
});

Deno.test("Relays take nothing from sockets of another user", { ignore: Deno.uid() !== 0 }, async () => {
  const flows: string[] = [];
  await using world = await openWorld({
    services: {},
    names: {},
    peers: { "10.96.7.7 7": (payload) => (flows.push(text(payload)), [payload]) },
  });
  const script = `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.sendto(b"mine", ("10.96.7.7", 7)); print(s.recvfrom(9)[0])
`;
  equal((await world.run(["python3", "-c", script])).stdout, "b'mine'\n");
  const relay = /relay (\d+)$/m.exec(world.log.join("\n"))?.[1] ?? "";
  match(relay, /^\d+$/);
  const foreign = `
import os, socket
os.setuid(65534)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.5)
s.sendto(b"theirs", ("127.84.80.1", ${relay}))
try: print(s.recv(9))
except TimeoutError: print("nothing")
`;
  const python =
    (await runToEnd(["sh", "-c", "test -x /usr/bin/python3 && echo /usr/bin/python3 || command -v python3"], {
      PATH: Deno.env.get("PATH") ?? "",
    })).stdout.trim();
  equal((await runToEnd([python, "-c", foreign], { PATH: "/usr/bin" })).stdout, "nothing\n");
  equals(flows, ["mine"]);
  ok(world.log.some((line) => line.includes("sent by a socket of another user")));
});
