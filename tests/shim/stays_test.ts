import { deepStrictEqual as equals, ok, strictEqual as equal } from "node:assert/strict";
import { hasProgram, openWorld, serveEcho, serveTcp, serveText } from "./harness.ts";

const LOGGED = { env: { TELEPRESENCE_SHIM_LOG: "1" } };

Deno.test("What means this host stays on the host", async (t) => {
  await using here = serveText("here\n");
  const own = Deno.networkInterfaces().find(({ family, name }) => family === "IPv4" && name !== "lo")?.address;
  await using world = await openWorld({ services: {}, names: {} }, { neverProxy: ["198.51.100.0/24"] });
  const script = `
import socket, sys
family, address, port = sys.argv[1:]
s = socket.socket(getattr(socket, family))
print(s.connect_ex((address, int(port))))
`;
  const cases = [
    ["AF_INET", "127.0.0.1"],
    ["AF_INET", "127.9.9.9"],
    ["AF_INET", "0.0.0.0"],
    ["AF_INET6", "::ffff:127.0.0.1"],
    ["AF_INET6", "::ffff:0.0.0.0"],
    ["AF_INET", "localhost"],
    ["AF_INET", Deno.hostname()],
    ...(own ? [["AF_INET", own], ["AF_INET6", `::ffff:${own}`]] : []),
  ];
  await using everywhere = serveEverywhere();
  for (const [family = "", address = ""] of cases) {
    await t.step(`${family} ${address}`, async () => {
      const { stdout, stderr } = await world.run(["python3", "-c", script, family, address, `${everywhere.port}`]);
      equals([stdout, stderr], ["0\n", ""]);
    });
  }
  await t.step("curl of a literal and of localhost", async () => {
    equal((await world.run(["curl", "-sS", `http://127.0.0.1:${here.port}/`])).stdout, "here\n");
    equal((await world.run(["curl", "-sS", `http://localhost:${here.port}/`])).stdout, "here\n");
  });
  await t.step("Unix sockets", async () => {
    const pair = "import socket; a, b = socket.socketpair(); a.send(b'x'); print(b.recv(1))";
    equal((await world.run(["python3", "-c", pair])).stdout, "b'x'\n");
  });
  await t.step("none of them was dialled or looked up in the pod", () => {
    equals(world.pod.dials, []);
    equals(world.pod.lookups, []);
  });
});

Deno.test("A name that is never proxied is resolved on the host, and so are its addresses", async () => {
  await using here = serveText("here\n");
  const own = Deno.networkInterfaces().find(({ family, name }) => family === "IPv4" && name !== "lo")?.address;
  await using world = await openWorld({ services: {}, names: {} }, {
    neverProxy: ["api.example"],
    resolve: () => Promise.resolve(["127.0.0.1"]),
    hostname: "another",
    ownAddresses: () => [],
  });
  const lines = async (url: string) => (await world.run(["curl", "-sS", url], LOGGED)).stderr.split("\n");
  const told = await lines(`http://api.example:${here.port}/`); // the host's libc knows no such name
  equal(told[0], "telepresence-shim: getaddrinfo api.example: host (never proxied)");
  if (own) equal((await lines(`http://${own}:1/`))[0], `telepresence-shim: connect ${own}: pod (EINPROGRESS)`);
});

Deno.test("TELEPRESENCE_SHIM_LOG tells each verdict with its reason", async () => {
  const interfaces = Deno.networkInterfaces();
  const own = interfaces.find(({ family, name }) => family === "IPv4" && name !== "lo")?.address ?? "203.0.113.1";
  await using hello = serveText("hello\n");
  await using world = await openWorld({
    services: { "10.96.7.7 1": hello.port },
    names: { hello: ["10.96.7.7"] },
  }, { neverProxy: [own], ownAddresses: () => [] });
  const script = `
import socket
def connect(address):
    s = socket.socket()
    s.connect_ex((address, 1))
for name in "hello", "absent", "localhost":
    try: socket.getaddrinfo(name, 80)
    except OSError: pass
for address in "10.96.7.7", "10.96.7.8", "127.0.0.1", "${own}": connect(address)
`;
  const { stderr } = await world.run(["python3", "-c", script], LOGGED);
  equals(stderr.trim().split("\n").filter((line) => !/python|pyenv/.test(line)), [
    "telepresence-shim: getaddrinfo hello: pod (10.96.7.7)",
    "telepresence-shim: getaddrinfo absent: pod (EAI_NONAME)",
    "telepresence-shim: getaddrinfo localhost: host (localhost)",
    "telepresence-shim: connect 10.96.7.7: pod (connected)",
    "telepresence-shim: connect 10.96.7.8: pod (ECONNREFUSED)",
    "telepresence-shim: connect 127.0.0.1: host (loopback)",
    `telepresence-shim: connect ${own}: host (never proxied)`,
  ]);
});

Deno.test("What is no request gets an error, and the session goes on", async (t) => {
  await using hello = serveText("still there\n");
  await using world = await openWorld({ services: { "10.96.7.7 80": hello.port }, names: {} });
  const path = world.capture.environment({}).TELEPRESENCE_SHIM_SOCKET ?? "";
  const cases: { name: string; input: string | Uint8Array<ArrayBuffer>; want: RegExp }[] = [
    { name: "nothing", input: "", want: /^$/ },
    { name: "a line without its end", input: "shim/2 lookup any x 7", want: /^$/ },
    { name: "an empty line", input: "\n", want: /^error version/ },
    { name: "another version", input: "shim/1 lookup any x\n", want: /^error version/ },
    { name: "an unknown verb", input: "shim/2 dance now here\n", want: /^error unknown verb/ },
    { name: "too few words", input: "shim/2 connect 10.96.7.7\n", want: /^error/ },
    { name: "too many words", input: "shim/2 connect 10.96.7.7 80 7 x\n", want: /^error/ },
    { name: "no address", input: "shim/2 connect helloworld 80 7\n", want: /^error not an address/ },
    { name: "a port out of range", input: "shim/2 connect 10.96.7.7 65536 7\n", want: /^error not a port/ },
    { name: "a family out of range", input: "shim/2 lookup 5 x 7\n", want: /^error not a family/ },
    { name: "a name that is too long", input: `shim/2 lookup 4 ${"x".repeat(255)} 7\n`, want: /^error not a name/ },
    { name: "a line that is too long", input: "x".repeat(512), want: /^error a line has at most/ },
    { name: "bytes", input: new Uint8Array([0xff, 0, 0x80, 0x0a]), want: /^error a line is printable/ },
    { name: "a claim of nothing", input: "shim/2 claim 127.0.0.1 80 0\n", want: /^error there is nothing to claim/ },
    {
      name: "a claim that is none",
      input: "shim/2 connect 10.96.7.7 80 7\nshim/2 lookup 4 x 7\n",
      want: /error a claim/,
    },
  ];
  for (const { name, input, want } of cases) {
    await t.step(name, async () => {
      using conn = await Deno.connect({ transport: "unix", path });
      await conn.write(typeof input === "string" ? new TextEncoder().encode(input) : input);
      await conn.closeWrite();
      ok(want.test(await readAll(conn)), `an answer like ${want}`);
    });
  }
  equal((await world.run(["curl", "-sS", "http://10.96.7.7/"])).stdout, "still there\n");
});

Deno.test("A program that ends while its connect or lookup is under way ends that in the pod", async (t) => {
  await using world = await openWorld({ services: { "10.96.7.7 80": "silence" }, names: { silent: "silence" } });
  const cases = [
    { call: "socket.socket().connect(('10.96.7.7', 80))", subject: "10.96.7.7 80" },
    { call: "socket.getaddrinfo('silent', 80)", subject: "silent" },
  ];
  for (const { call, subject } of cases) {
    await t.step(call, async () => {
      const before = world.pod.dials.length + world.pod.lookups.length;
      const child = new Deno.Command("python3", {
        args: ["-c", `import socket; ${call}`],
        env: world.capture.environment({ PATH: Deno.env.get("PATH") ?? "" }),
        clearEnv: true,
        stdout: "null",
        stderr: "null",
      }).spawn();
      await until(() => world.pod.dials.length + world.pod.lookups.length > before);
      child.kill("SIGKILL");
      await child.status;
      await until(() => world.pod.givenUp.at(-1) === subject);
    });
  }
});

Deno.test("A program that gives up a non-blocking connect ends the dial", async (t) => {
  await using world = await openWorld({
    services: { "10.96.7.7 80": "silence", "2001:db8::7 80": "silence" },
    names: {},
  });
  const cases = [["AF_INET", "10.96.7.7"], ["AF_INET6", "::ffff:10.96.7.7"], ["AF_INET6", "2001:db8::7"]] as const;
  for (const [family, address] of cases) {
    await t.step(`${family} ${address}`, async () => {
      const before = world.pod.givenUp.length;
      const script = `
import socket, sys
s = socket.socket(socket.${family})
s.settimeout(0.05)
try: s.connect(("${address}", 80))
except TimeoutError: s.close()
print("closed", flush=True)
sys.stdin.read()
`;
      const child = new Deno.Command("python3", {
        args: ["-c", script],
        env: world.capture.environment({ PATH: Deno.env.get("PATH") ?? "" }),
        clearEnv: true,
        stdin: "piped",
        stdout: "null",
      }).spawn();
      await until(() => world.pod.givenUp.length > before);
      await child.stdin.close();
      await child.status;
    });
  }
});

Deno.test("100 MB go through and come back equal", async () => {
  await using echo = serveEcho();
  await using world = await openWorld({ services: { "10.96.7.7 7": echo.port }, names: {} });
  const script = `
import hashlib, socket, threading
s = socket.create_connection(("10.96.7.7", 7))
block = bytes((i * 7 + (i >> 8)) & 255 for i in range(1 << 20))
sent = hashlib.sha256()
def send():
    for i in range(100):
        part = block[i:] + block[:i]
        sent.update(part)
        s.sendall(part)
    s.shutdown(socket.SHUT_WR)
thread = threading.Thread(target=send)
thread.start()
got, total = hashlib.sha256(), 0
while part := s.recv(1 << 20):
    got.update(part)
    total += len(part)
thread.join()
print(total, got.digest() == sent.digest())
`;
  equal((await world.run(["python3", "-c", script])).stdout, `${100 << 20} True\n`);
});

Deno.test("100 threads connect at once, each to its own connection", async () => {
  await using echo = serveEcho();
  await using world = await openWorld({ services: { "10.96.7.7 7": echo.port }, names: { echo: ["10.96.7.7"] } });
  const script = `
import socket, threading
bad = []
def talk(i):
    try:
        with socket.create_connection(("echo", 7)) as s:
            text = b"%d" % i * 1000
            s.sendall(text)
            s.shutdown(socket.SHUT_WR)
            got = b""
            while part := s.recv(65536): got += part
            if got != text: bad.append(i)
    except OSError as e: bad.append(e)
threads = [threading.Thread(target=talk, args=(i,)) for i in range(100)]
for t in threads: t.start()
for t in threads: t.join()
print(bad)
`;
  equal((await world.run(["python3", "-c", script])).stdout, "[]\n");
  equal(world.pod.dials.length, 100);
});

Deno.test("A descriptor that is closed is closed in the pod, and the other way round", async () => {
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  await using service = serveTcp(async (conn) => {
    using peer = conn;
    const buffer = new Uint8Array(16);
    while (await peer.read(buffer) !== null);
    resolve();
  });
  await using bye = serveTcp(async (conn) => {
    using peer = conn;
    await peer.write(new TextEncoder().encode("bye"));
  });
  await using world = await openWorld({
    services: { "10.96.7.7 1": service.port, "10.96.7.7 2": bye.port },
    names: {},
  });
  const script = `
import socket
socket.create_connection(("10.96.7.7", 1)).close()
s = socket.create_connection(("10.96.7.7", 2))
print(s.recv(16), s.recv(16))
`;
  equal((await world.run(["python3", "-c", script])).stdout, "b'bye' b''\n");
  await ended;
});

Deno.test("bash reaches the pod by /dev/tcp", { ignore: !await hasProgram("bash") }, async () => {
  await using echo = serveEcho();
  await using world = await openWorld({ services: { "10.96.7.7 7": echo.port }, names: { echo: ["10.96.7.7"] } });
  const script = "exec 3<>/dev/tcp/echo/7; echo hello >&3; read line <&3; echo $line";
  equal((await world.run(["bash", "-c", script])).stdout, "hello\n");
});

/** A server on every address of this host. */
function serveEverywhere() {
  const listener = Deno.listen({ hostname: "::", port: 0 });
  const loop = (async () => {
    for await (const conn of listener) conn.close();
  })();
  return {
    port: listener.addr.port,
    async [Symbol.asyncDispose]() {
      listener.close();
      await loop;
    },
  };
}

async function readAll(conn: Deno.Conn): Promise<string> {
  let text = "";
  const buffer = new Uint8Array(4096);
  for (let count; (count = await conn.read(buffer)) !== null;) {
    text += new TextDecoder().decode(buffer.subarray(0, count));
  }
  return text;
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
  ok(condition(), "it happened within 5 s");
}
