/** The programs that people run, each in a case of its own; what this machine does not have is skipped by name. */
import { strictEqual as equal } from "node:assert/strict";
import { refusalOf } from "@/capture/mod.ts";
import { hasProgram, openWorld, serveEcho, serveText, type World } from "./harness.ts";

interface Case {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly want: string;
  /** Standard error, where it matters. */
  readonly wantError?: string;
}

const PYTHON_ASYNCIO = `
import asyncio
async def talk(port):
    try:
        reader, writer = await asyncio.open_connection("echo.default.svc.cluster.local", port)
    except OSError as e:
        return type(e).__name__
    writer.write(b"hello")
    writer.write_eof()
    text = await reader.read()
    peer = writer.get_extra_info("peername")
    writer.close()
    return text.decode(), peer
async def main():
    ticks = 0
    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1
    ticker = asyncio.create_task(tick())
    print(await asyncio.gather(*[talk(p) for p in (7, 1, 7)]), ticks > 0)
asyncio.run(main())
`;

const PYTHON_TIMEOUT = `
import socket
for port in 9, 7, 1:
    s = socket.socket()
    s.settimeout(0.2 if port == 9 else 20)
    try:
        s.connect(("10.96.7.7", port))
        s.sendall(b"hello")
        print(s.recv(5), s.getpeername())
    except OSError as e: print(type(e).__name__)
`;

const PYTHON_FORK = `
import os, socket
s = socket.create_connection(("echo", 7))
for i in range(3):
    if os.fork() == 0:
        t = socket.create_connection(("echo", 7))
        t.sendall(b"child"); assert t.recv(5) == b"child"
        os._exit(0)
print(sorted(os.wait()[1] for i in range(3)))
s.sendall(b"parent"); print(s.recv(6))
`;

const PYTHON_EXECUTOR = `
from concurrent.futures import ProcessPoolExecutor
import socket
def work(i):
    with socket.create_connection(("echo", 7)) as s:
        s.sendall(b"%d" % i); return s.recv(9)
if __name__ == "__main__":
    with ProcessPoolExecutor(3) as pool: print(list(pool.map(work, range(4))))
`;

const NODE_HTTP = `
const http = require("http");
http.get("http://hello.default/", (r) => { r.setEncoding("utf8"); r.on("data", (t) => process.stdout.write(t)); });
`;

const NODE_ERRORS = `
const net = require("net"), dns = require("dns");
const dial = (port) => new Promise((resolve) => {
  const s = net.connect(port, "10.96.7.7", () => { resolve("connected " + s.remoteAddress + ":" + s.remotePort); s.destroy(); });
  s.on("error", (e) => resolve(e.code));
});
(async () => {
  for (const port of [1, 2, 3, 7]) console.log(await dial(port));
  console.log(await dns.promises.lookup("echo", { all: true }));
  console.log(await dns.promises.lookup("absent").catch((e) => e.code));
})();
`;

const NODE_FETCH = `fetch("http://hello/").then((r) => r.text()).then((t) => process.stdout.write(t));`;

const NODE_WORKERS = `
const { Worker, isMainThread, parentPort } = require("worker_threads");
const talk = 'const n = require("net"), { parentPort } = require("worker_threads");' +
  'const s = n.connect(7, "echo", () => s.end("hi")); s.on("data", (d) => parentPort.postMessage(String(d)));';
Promise.all([1, 2, 3].map(() => new Promise((resolve) => new Worker(talk, { eval: true }).on("message", resolve))))
  .then((all) => console.log(all.join(" ")));
`;

const NODE_LOOP = `
const net = require("net");
let turns = 0;
const timer = setInterval(() => turns++, 5);
const s = net.connect(9, "10.96.7.7");
setTimeout(() => { console.log(turns > 10, s.connecting, s.readyState); clearInterval(timer); s.destroy(); }, 200);
`;

const DENO_FETCH = `
console.log((await (await fetch("http://hello/")).text()).trim());
const conn = await Deno.connect({ hostname: "echo", port: 7 });
console.log(conn.remoteAddr.hostname, conn.remoteAddr.port);
conn.close();
try { await Deno.connect({ hostname: "10.96.7.7", port: 1 }); } catch (e) { console.log(e.name); }
try { await Deno.connect({ hostname: "absent", port: 1 }); } catch (e) { console.log(e instanceof Error); }
`;

const JAVA = `
import java.net.*; import java.net.http.*; import java.nio.channels.*;
class Main { public static void main(String[] a) throws Exception {
  System.out.print(new String(new URL("http://hello/").openStream().readAllBytes()));
  System.out.print(HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build().send(HttpRequest.newBuilder(URI.create("http://hello/")).build(),
    HttpResponse.BodyHandlers.ofString()).body());
  try { new Socket("10.96.7.7", 1); } catch (ConnectException e) { System.out.println(e.getMessage()); }
  try (var c = SocketChannel.open()) { c.configureBlocking(false);
    System.out.println(c.connect(new InetSocketAddress("10.96.7.7", 7)));
    while (!c.finishConnect()) Thread.sleep(1);
    System.out.println(c.getRemoteAddress()); }
  try { InetAddress.getByName("absent"); } catch (UnknownHostException e) { System.out.println("unknown"); }
} }
`;

const PERL = `
use IO::Socket::INET;
my $s = IO::Socket::INET->new(PeerAddr => "echo", PeerPort => 7) or die $@;
print $s "hello\\n"; $s->flush; print scalar <$s>; print $s->peerhost, "\\n";
IO::Socket::INET->new(PeerAddr => "10.96.7.7", PeerPort => 1) or print "$!\\n";
IO::Socket::INET->new(PeerAddr => "10.96.7.7", PeerPort => 1, Timeout => 5) or print "$!\\n";
`;

const RUBY = `
require "socket"; require "net/http"
print Net::HTTP.get(URI("http://hello/"))
begin; TCPSocket.new("10.96.7.7", 1); rescue => e; puts e.class; end
begin; Socket.tcp("10.96.7.7", 1, connect_timeout: 5); rescue => e; puts e.class; end
begin; Addrinfo.getaddrinfo("absent", 80); rescue SocketError => e; puts "unknown"; end
`;

const PHP = `
echo file_get_contents("http://hello/");
@fsockopen("10.96.7.7", 1, $code, $text, 5); echo $text, "\\n";
echo gethostbyname("echo"), "\\n"; var_dump(gethostbynamel("absent"));
`;

const ERRORS = "ECONNREFUSED\nEHOSTUNREACH\nETIMEDOUT\n";

const CASES: readonly Case[] = [
  { name: "curl", program: "curl", args: ["-sS", "http://hello/"], want: "hello\n" },
  {
    name: "curl over IPv6",
    program: "curl",
    args: ["-sS", "-6", "http://both/", "-w", "%{remote_ip}\n"],
    want: "hello\n2001:db8::7\n",
  },
  {
    name: "curl, refused",
    program: "curl",
    args: ["-sS", "http://10.96.7.7:1/"],
    want: "",
    wantError: "curl: (7) Failed to connect to 10.96.7.7 port 1 after N ms: Couldn't connect to server\n",
  },
  {
    name: "curl, an unknown name",
    program: "curl",
    args: ["-sS", "http://absent/"],
    want: "",
    wantError: "curl: (6) Could not resolve host: absent\n",
  },
  {
    name: "curl gives up after its own time",
    program: "curl",
    args: ["-s", "--connect-timeout", "0.2", "http://10.96.7.7:9/", "-w", "%{errormsg}\n"],
    want: "Failed to connect to 10.96.7.7 port 9 after N ms: Timeout was reached\n",
  },
  { name: "busybox: wget", program: "busybox", args: ["wget", "-q", "-O-", "http://hello/"], want: "hello\n" },
  { name: "wget", program: "wget", args: ["-q", "-O-", "http://hello/"], want: "hello\n" },
  {
    name: "python: asyncio",
    program: "python3",
    args: ["-c", PYTHON_ASYNCIO],
    want: "[('hello', ('10.96.7.7', 7)), 'ConnectionRefusedError', ('hello', ('10.96.7.7', 7))] True\n",
  },
  {
    name: "python: sockets with time-outs",
    program: "python3",
    args: ["-c", PYTHON_TIMEOUT],
    want: "TimeoutError\nb'hello' ('10.96.7.7', 7)\nConnectionRefusedError\n",
  },
  { name: "python: fork", program: "python3", args: ["-c", PYTHON_FORK], want: "[0, 0, 0]\nb'parent'\n" },
  {
    name: "python: worker processes",
    program: "python3",
    args: ["-c", PYTHON_EXECUTOR],
    want: "[b'0', b'1', b'2', b'3']\n",
  },
  { name: "node: http", program: "node", args: ["-e", NODE_HTTP], want: "hello\n" },
  {
    name: "node: errors and lookups",
    program: "node",
    args: ["-e", NODE_ERRORS],
    want: `${ERRORS}connected 10.96.7.7:7\n[ { address: '10.96.7.7', family: 4 } ]\nENOTFOUND\n`,
  },
  { name: "node: fetch (undici)", program: "node", args: ["-e", NODE_FETCH], want: "hello\n" },
  { name: "node: worker threads", program: "node", args: ["-e", NODE_WORKERS], want: "hi hi hi\n" },
  {
    name: "node: the loop turns while a connect is under way",
    program: "node",
    args: ["-e", NODE_LOOP],
    want: "true true opening\n",
  },
  {
    name: "deno",
    program: "deno",
    args: ["eval", DENO_FETCH],
    want: "hello\n10.96.7.7 7\nConnectionRefused\ntrue\n",
  },
  {
    name: "java",
    program: "java",
    args: ["Main.java"],
    want: "hello\nhello\nConnection refused\nfalse\n/10.96.7.7:7\nunknown\n",
  },
  {
    name: "perl",
    program: "perl",
    args: ["-e", PERL],
    want: "hello\n10.96.7.7\nConnection refused\nConnection refused\n",
  },
  {
    name: "ruby",
    program: "ruby",
    args: ["-e", RUBY],
    want: "hello\nErrno::ECONNREFUSED\nErrno::ECONNREFUSED\nunknown\n",
  },
  { name: "php", program: "php", args: ["-r", PHP], want: "hello\nConnection refused\n10.96.7.7\nbool(false)\n" },
  {
    name: "psql, refused",
    program: "psql",
    args: ["-h", "echo", "-p", "1", "-c", "select 1"],
    want: "",
    wantError: 'psql: error: connection to server at "echo" (10.96.7.7), port 1 failed: Connection refused\n' +
      "\tIs the server running on that host and accepting TCP/IP connections?\n",
  },
  {
    name: "git, refused",
    program: "git",
    args: ["ls-remote", "git://echo:1/x"],
    want: "",
    wantError: "fatal: unable to connect to echo:\necho[0: 10.96.7.7]: errno=Connection refused\n\n",
  },
  {
    name: "bash: /dev/tcp",
    program: "bash",
    args: ["-c", "exec 3<>/dev/tcp/echo/7; echo hi >&3; head -1 <&3"],
    want: "hi\n",
  },
];

Deno.test("Programs that people run", async (t) => {
  await using hello = serveText("hello\n");
  await using echo = serveEcho();
  await using world = await openWorld({
    services: {
      "10.96.7.7 80": hello.port,
      "2001:db8::7 80": hello.port,
      "10.96.7.7 7": echo.port,
      "10.96.7.7 1": "ECONNREFUSED",
      "10.96.7.7 2": "EHOSTUNREACH",
      "10.96.7.7 3": "ETIMEDOUT",
      "10.96.7.7 9": "silence",
    },
    names: {
      hello: ["10.96.7.7"],
      "hello.default": ["10.96.7.7"],
      echo: ["10.96.7.7"],
      "echo.default.svc.cluster.local": ["10.96.7.7"],
      both: ["2001:db8::7", "10.96.7.7"],
    },
  });
  const sources = await Deno.makeTempDir({ prefix: "telepresence-test-" });
  try {
    await Deno.writeTextFile(`${sources}/Main.java`, JAVA);
    for (const each of CASES) {
      await t.step({
        name: each.name,
        ignore: !await isCarriable(each.program),
        fn: () => check(world, sources, each),
      });
    }
  } finally {
    await Deno.remove(sources, { recursive: true });
  }
});

/** Whether a program is here in a form that can be preloaded: Debian has busybox as a static program too. */
async function isCarriable(program: string): Promise<boolean> {
  if (!await hasProgram(program)) return false;
  return program === "deno" || await refusalOf(program, { path: Deno.env.get("PATH") ?? "" }) === undefined;
}

async function check(world: World, sources: string, { program, args, want, wantError }: Case): Promise<void> {
  const command = args.map((word) => word.endsWith(".java") ? `${sources}/${word}` : word);
  const { stdout, stderr } = await world.run([program, ...command], { env: { HOME: sources, NO_COLOR: "1" } });
  const timeless = (text: string) => text.replaceAll(/after \d+ (ms|milliseconds)/g, "after N $1");
  if (wantError !== undefined) equal(timeless(stderr), wantError);
  equal(timeless(stdout), want, stderr);
}
