/** Programs in a network namespace, whose pod is a table. */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { createSocket } from "node:dgram";
import type { DatagramFlow } from "@/pod/mod.ts";
import { runProgram } from "@/process/mod.ts";
import { freePort } from "../testkit/free_port.ts";
import { greeter, insideTest } from "./harness.ts";

const hello = greeter("Hello from the pod\n");
const hostOnly = greeter("Hello from the host\n");
const hostOnly6 = greeter("Hello from the host\n", "::1");
const CLUSTER = {
  services: {
    "10.96.7.7 80": hello.port,
    "fd00:96::7 80": hello.port,
    "10.96.7.7 1": "ECONNREFUSED",
    "10.96.7.7 2": "EHOSTUNREACH",
    "10.96.7.7 3": "ENETUNREACH",
  },
  names: {
    helloworld: ["10.96.7.7"],
    "helloworld.default": ["10.96.7.7"],
    "helloworld.default.svc.cluster.local": ["10.96.7.7"],
    "both.default": ["10.96.7.7", "fd00:96::7"],
    "my-pod": ["10.244.1.5", "fd00:244::5"],
  },
} as const;

/** Reads all of what a server says. */
const READ = `
import socket, errno, sys
def read(address, family=socket.AF_INET):
    s = socket.socket(family)
    code = s.connect_ex(address)
    if code: return errno.errorcode[code]
    text = b""
    while (part := s.recv(4096)): text += part
    return text.decode().strip()
`;

insideTest("a program reaches the pod by address and by name, over IPv4 and IPv6", CLUSTER, async ({ python, pod }) => {
  equals(
    await python(`${READ}
print(read(("10.96.7.7", 80)))
print(read(("helloworld.default", 80)))
print(read(("fd00:96::7", 80), socket.AF_INET6))
print(sorted({a[4][0] for a in socket.getaddrinfo("both.default", 80)}))
`),
    [...Array(3).fill("Hello from the pod"), "['10.96.7.7', 'fd00:96::7']"].join("\n"),
  );
  equals(pod.dials, ["10.96.7.7 80", "10.96.7.7 80", "fd00:96::7 80"]);
});

insideTest("connect() fails as it fails in the pod", CLUSTER, async ({ python }) => {
  equals(
    await python(`${READ}
for port in 1, 2, 3: print(read(("10.96.7.7", port)))
`),
    "ECONNREFUSED\nEHOSTUNREACH\nENETUNREACH",
  );
});

insideTest(
  "a connect that is under way waits for the pod",
  { ...CLUSTER, services: { "10.9.9.9 80": "silence" } },
  async ({ python }) => {
    equals(
      await python(`
import socket
s = socket.socket(); s.settimeout(0.3)
try: s.connect(("10.9.9.9", 80)); print("connected")
except TimeoutError: print("under way")
`),
      "under way",
    );
  },
);

insideTest(
  "a connect that the program gives up is given up in the pod as well",
  { ...CLUSTER, services: { "10.9.9.9 80": "silence" } },
  async ({ python, pod }) => {
    await python(`
import socket
s = socket.socket(); s.settimeout(0.3)
try: s.connect(("10.9.9.9", 80))
except TimeoutError: s.close()
`);
    for (const end = performance.now() + 20_000; pod.givenUp.length === 0;) {
      if (performance.now() > end) throw new Error("Waited twenty seconds until the pod heard of it");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    equals(pod.givenUp, ["10.9.9.9 80"]);
  },
);

insideTest(
  "a connect that goes on is not given up, however long the pod takes",
  { ...CLUSTER, held: () => new Promise((resolve) => setTimeout(resolve, 6_000)) },
  async ({ python }) => equals(await python(`${READ}\nprint(read(("10.96.7.7", 80)))`), "Hello from the pod"),
);

insideTest("a program inside can trace another one, as a debugger does", CLUSTER, async ({ run }) => {
  const trace = `
import ctypes, os, signal
libc = ctypes.CDLL(None, use_errno=True)
child = os.fork()
if child == 0:
    libc.ptrace(0, 0, 0, 0)                              # PTRACE_TRACEME
    os.kill(os.getpid(), signal.SIGSTOP); os._exit(7)
os.waitpid(child, 0)
assert libc.ptrace(7, child, 0, 0) == 0, ctypes.get_errno()   # PTRACE_CONT
other = os.fork()
if other == 0: signal.pause()
assert libc.ptrace(16, other, 0, 0) == 0, ctypes.get_errno()  # PTRACE_ATTACH
os.waitpid(other, 0); os.kill(other, signal.SIGKILL)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))`;
  equals((await run("python3", "-c", trace)).stdout, "7\n");
});

insideTest("programs of every making are carried: static, Go, musl, Java", CLUSTER, async ({ run }) => {
  const directory = await Deno.makeTempDir({ prefix: "telepresence-test-" });
  try {
    await Deno.chmod(directory, 0o755);
    const wanted = { code: 0, stdout: "Hello from the pod\n", stderr: "" };
    await Deno.writeTextFile(`${directory}/client.c`, C_CLIENT);
    for (const compiler of ["gcc", "musl-gcc"]) {
      if ((await runProgram(["sh", "-c", `command -v ${compiler}`])).code !== 0) continue;
      const built = await runProgram([compiler, "-static", `${directory}/client.c`, "-o", `${directory}/client`]);
      equals(built.code, 0, built.stderr);
      equals(await run(`${directory}/client`, "10.96.7.7", "80"), wanted, compiler);
    }
    if ((await runProgram(["sh", "-c", "command -v go"])).code === 0) {
      await Deno.writeTextFile(`${directory}/client.go`, GO_CLIENT);
      const built = await runProgram(["go", "build", "-o", `${directory}/goclient`, `${directory}/client.go`], {
        env: { CGO_ENABLED: "0", GO111MODULE: "off" },
      });
      equals(built.code, 0, built.stderr);
      equals(await run(`${directory}/goclient`, "helloworld.default:80"), wanted);
      match((await run(`${directory}/goclient`, "10.96.7.7:1")).stderr, /connection refused/);
    }
    if ((await runProgram(["sh", "-c", "command -v java && command -v javac"])).code === 0) {
      await Deno.writeTextFile(`${directory}/Client.java`, JAVA_CLIENT);
      const client = `${directory}/Client.java`;
      equals((await run("java", "-Xshare:auto", client, "helloworld.default", "80")).stdout, wanted.stdout);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

insideTest("busybox, which has a resolver of its own, finds all three forms of a name", CLUSTER, async ({ run }) => {
  for (const name of ["helloworld", "helloworld.default", "helloworld.default.svc.cluster.local"]) {
    const { stdout, stderr } = await run("busybox", "nc", name, "80");
    equals({ stdout, stderr }, { stdout: "Hello from the pod\n", stderr: "" }, name);
  }
});

insideTest("names that are not there are EAI_NONAME, by UDP and by TCP", CLUSTER, async ({ python }) => {
  equals(
    await python(`
import socket, struct
try: socket.getaddrinfo("absent.default", 80)
except socket.gaierror as e: print(e.errno == socket.EAI_NONAME)
s = socket.create_connection(("192.0.0.8", 53))
query = struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, 0) + b"\\x0ahelloworld\\x07default\\0" + struct.pack("!HH", 1, 1)
s.sendall(struct.pack("!H", len(query)) + query)
size, = struct.unpack("!H", s.recv(2)); answer = s.recv(size)
print(answer[-4:] == bytes([10, 96, 7, 7]), s.connect_ex(("192.0.0.8", 54)) != 0)
`),
    "True\nTrue True",
  );
});

insideTest(
  "localhost of the host is reached where nothing inside listens, and refused where nobody does",
  CLUSTER,
  async ({ python }) => {
    const free = freePort();
    equals(
      await python(`${READ}
print(read(("127.0.0.1", ${hostOnly.port})))
print(read(("localhost", ${hostOnly.port})))
print(read(("::1", ${hostOnly6.port}), socket.AF_INET6))
print(read(("127.0.0.1", ${free})))
inside = socket.socket(); inside.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); inside.bind(("127.0.0.1", ${hostOnly.port})); inside.listen()
c = socket.create_connection(("127.0.0.1", ${hostOnly.port})); peer, _ = inside.accept(); peer.send(b"inside"); print(c.recv(9).decode())
`),
      [...Array(3).fill("Hello from the host"), "ECONNREFUSED", "inside"].join("\n"),
    );
  },
);

insideTest("the inside has the pod's addresses, and its low ports are free", CLUSTER, async ({ python }) => {
  equals(
    await python(`
import socket
s = socket.create_connection(("10.96.7.7", 80)); print(s.getsockname()[0], s.getpeername())
l = socket.socket(); l.bind(("10.244.1.5", 80)); l.listen()
c = socket.create_connection(("10.244.1.5", 80)); p, a = l.accept(); print(a[0])
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("", 5353))
v = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); v.sendto(b"to the inside", ("10.244.1.5", 5353)); print(u.recv(99).decode())
`),
    "10.244.1.5 ('10.96.7.7', 80)\n10.244.1.5\nto the inside",
  );
});

insideTest("a wildcard listener takes no connection that is meant for the cluster", CLUSTER, async ({ python }) => {
  equals(
    await python(`${READ}
l = socket.socket(); l.bind(("", 80)); l.listen()
print(read(("10.96.7.7", 80)))
`),
    "Hello from the pod",
  );
});

insideTest(
  "datagrams reach the host's loopback and come back",
  CLUSTER,
  async ({ python }) => {
    const echo = createSocket("udp4");
    echo.on("message", (bytes, from) => echo.send(bytes, from.port, from.address));
    await new Promise<void>((resolve) => echo.bind(0, "127.0.0.1", resolve));
    try {
      equals(
        await python(`
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5)
for size in 1, 1400, 60000:
    s.sendto(b"x" * size, ("127.0.0.1", ${echo.address().port})); data, peer = s.recvfrom(65536); print(len(data), peer[1] == ${echo.address().port})
`),
        "1 True\n1400 True\n60000 True",
      );
    } finally {
      echo.close();
    }
  },
);

insideTest(
  "datagrams to the cluster go through the pod, over IPv4 and IPv6, and keep their edges",
  CLUSTER,
  async ({ pod, python }) => {
    const flows: string[] = [];
    Object.assign(pod, {
      datagrams({ host, port }: { host: string; port: number }): Promise<DatagramFlow> {
        flows.push(`${host} ${port}`);
        const echoed = new TransformStream<Uint8Array, Uint8Array>();
        const writer = echoed.writable.getWriter();
        return Promise.resolve({
          send: (payload: Uint8Array) => writer.write(payload.toReversed()),
          received: () => echoed.readable.values(),
          [Symbol.asyncDispose]: async () => await writer.close().catch(() => {}),
        });
      },
    });
    equals(
      await python(`
import socket
for family, address in (socket.AF_INET, "10.96.0.10"), (socket.AF_INET6, "fd00:96::10"):
    s = socket.socket(family, socket.SOCK_DGRAM); s.settimeout(5)
    for text in b"one", b"", b"x" * 50000 + b"y":
        s.sendto(text, (address, 5000)); got, peer = s.recvfrom(65536); print(got == text[::-1], peer[:2])
    c = socket.socket(family, socket.SOCK_DGRAM); c.connect((address, 5000)); c.settimeout(5); c.send(b"connected"); print(c.recv(99))
`),
      ["10.96.0.10", "fd00:96::10"].flatMap((address) => [
        ...Array(3).fill(`True ('${address}', 5000)`),
        "b'detcennoc'",
      ]).join("\n"),
    );
    equals(flows.length, 4, "one for each pair of ends");
  },
);

insideTest("a ping is not answered in the name of the world", CLUSTER, async ({ python }) => {
  equals(
    await python(`
import socket, struct
try: s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
except PermissionError: print("may not"); raise SystemExit
s.settimeout(0.5)
s.sendto(struct.pack("!BBHHH", 8, 0, 0xf7fe, 0, 1), ("10.96.7.7", 0))
kinds = []
try:
    while True: kinds.append(s.recv(999)[20])
except OSError: pass
print("answered" if 0 in kinds else "may not")
`),
    "may not",
  );
});

insideTest(
  "the command is the user's own: same user, files, terminal, signals, exit code",
  CLUSTER,
  async ({ run, spawn }) => {
    equals((await run("sh", "-c", "exit 113")).code, 113);
    equals((await run("/no/such/program")).code, 127);
    equals((await run("sh", "-c", "kill -TERM $$")).code, 143);
    const look = "ls /proc/self/fd | wc -l; umask; pwd";
    const outside = await runProgram(["sh", "-c", look]);
    equals((await run("sh", "-c", look)).stdout, outside.stdout, "no descriptor of ours, and the same directory");
    const uid = (await run("id", "-u")).stdout.trim();
    ok(["0", "65534", String(Deno.uid())].includes(uid), uid);
    equals((await run("sh", "-c", "wait; ps -o pid= --ppid $$ | wc -l")).stdout.trim(), "2", "ps and wc alone");
    await using child = spawn("sh", "-c", "trap 'exit 7' INT; echo ready; while :; do sleep 0.05; done");
    const reader = child.stdout.getReader();
    await reader.read();
    reader.releaseLock();
    child.kill("SIGINT");
    equals((await child.status).code, 7);
  },
);

insideTest("4 MB go both ways at once and come back equal", CLUSTER, async ({ pod, python }) => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const echoing = (async () => {
    const conn = await listener.accept();
    await conn.readable.pipeTo(conn.writable).catch(() => {});
  })();
  Object.assign(pod, {
    dial: async () => {
      const conn = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
      return conn;
    },
  });
  equals(
    await python(`
import socket, threading, random
s = socket.create_connection(("10.1.1.1", 7)); data = random.randbytes(4 << 20); got = b""
def send(): s.sendall(data); s.shutdown(socket.SHUT_WR)
t = threading.Thread(target=send); t.start()
while (part := s.recv(1 << 16)): got += part
print(got == data)
`),
    "True",
  );
  await echoing;
  listener.close();
});

insideTest("500 connections at once, and 2000 one after another, leave nothing open", CLUSTER, async ({ python }) => {
  equals(
    await python(`${READ}
s = [socket.create_connection(("10.96.7.7", 80)) for _ in range(500)]
print(all(c.recv(99) for c in s)); [c.close() for c in s]
print({read(("10.96.7.7", 80)) for _ in range(2000)})
`),
    "True\n{'Hello from the pod'}",
  );
});

insideTest(
  "the session reaches listeners of the inside, on either loopback address",
  CLUSTER,
  async ({ capture, spawn }) => {
    const [port, port6] = [freePort(), freePort()];
    await using server = spawn(
      "python3",
      "-u",
      "-c",
      `
import socket, sys
l = [socket.socket(), socket.socket(socket.AF_INET6)]
l[0].bind(("127.0.0.1", ${port})); l[1].bind(("::1", ${port6}))
for one in l: one.listen()
print("ready")
for one in l:
    c, _ = one.accept(); c.send(b"from the inside"); c.close()
sys.stdin.read()
`,
    );
    const reader = server.stdout.getReader();
    await reader.read();
    reader.releaseLock();
    for (const each of [port, port6]) {
      const duplex = await capture.connect(each);
      const buffer = new Uint8Array(64);
      const count = await duplex.read(buffer) ?? 0;
      equals(new TextDecoder().decode(buffer.subarray(0, count)), "from the inside");
      duplex.close();
    }
    const refused = await capture.connect(freePort()).then(() => "connected", (error) => error.code);
    equals(refused, "ECONNREFUSED");
  },
);

const published = freePort();
insideTest(
  "a published port is on the host's localhost, and leads nowhere while nobody listens inside",
  CLUSTER,
  async ({ python, spawn, capture }) => {
    equals(capture.published, [published]);
    equals(await python(`${READ}\nprint(read(("127.0.0.1", ${published})))`), "ECONNREFUSED");
    await using server = spawn(
      "python3",
      "-u",
      "-c",
      `
import socket
l = socket.socket(); l.bind(("127.0.0.1", ${published})); l.listen(); print("ready")
c, _ = l.accept(); c.send(b"published"); c.close()
`,
    );
    const reader = server.stdout.getReader();
    await reader.read();
    reader.releaseLock();
    using conn = await Deno.connect({ hostname: "127.0.0.1", port: published });
    const buffer = new Uint8Array(64);
    equals(new TextDecoder().decode(buffer.subarray(0, await conn.read(buffer) ?? 0)), "published");
  },
  { publish: [published] },
);

insideTest(
  "the end of the session ends the relay, and nothing is left on the machine",
  CLUSTER,
  async ({ python, capture }) => {
    // Other sessions of this machine mount volumes meanwhile; this one has none.
    const look = "cat /etc/resolv.conf; grep -v ' fuse[.]' /proc/self/mountinfo; cat /proc/net/route";
    const before = await runProgram(["sh", "-c", look]);
    await python("pass");
    await capture[Symbol.asyncDispose]();
    const after = await runProgram(["sh", "-c", look]);
    equals(after.stdout, before.stdout);
    const end = performance.now() + 10_000;
    const helper = capture.command(["true"])[0];
    for (;;) {
      const { stdout } = await runProgram(["sh", "-c", "ls -l /proc/[0-9]*/exe 2>/dev/null"]);
      if (!stdout.includes(helper)) break;
      ok(performance.now() < end, "the relay is still there");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  },
);

const C_CLIENT = `
#include <arpa/inet.h>
#include <stdlib.h>
#include <unistd.h>
int main(int count, char **words)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(words[count - 1])) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char text[256];
    ssize_t size;
    inet_pton(AF_INET, words[1], &to.sin_addr);
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)))
        return 1;
    while ((size = read(fd, text, sizeof(text))) > 0)
        if (write(1, text, (size_t)size) < 0)
            return 2;
    return 0;
}
`;

const GO_CLIENT = `package main

import (
	"io"
	"net"
	"os"
)

func main() {
	conn, err := net.Dial("tcp", os.Args[1])
	if err != nil {
		os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
	io.Copy(os.Stdout, conn)
}
`;

const JAVA_CLIENT = `
public class Client {
    public static void main(String[] words) throws Exception {
        try (var socket = new java.net.Socket(words[0], Integer.parseInt(words[1]))) {
            socket.getInputStream().transferTo(System.out);
        }
    }
}
`;

insideTest(
  "files of the pod are at their paths, and nothing of it is on the host's disks",
  { services: {}, names: {} },
  async (inside) => {
    const pod = await Deno.makeTempDir({ dir: "/tmp", prefix: "telepresence-shown-" });
    const name = `telepresence-${crypto.randomUUID().slice(0, 8)}`;
    try {
      await Deno.chmod(pod, 0o777);
      for (const directory of ["secret", "there", "deep", "below"]) {
        await Deno.mkdir(`${pod}/${directory}`);
        await Deno.chmod(`${pod}/${directory}`, 0o777);
        await Deno.writeTextFile(`${pod}/${directory}/name`, directory);
      }
      await Deno.mkdir(`${pod}/host/empty`, { recursive: true });
      await Deno.writeTextFile(`${pod}/host/own`, "own");
      const shown = {
        [`/var/run/${name}/serviceaccount`]: "secret",
        [`${pod}/host`]: "there",
        [`/${name}/a`]: "deep",
        [`/${name}/a/b`]: "below",
        [`/etc/${name}.conf`]: "deep/name",
        [`${pod}/host/x`]: "there", // a directory of the pod that it does not have
      };
      const files = Object.entries(shown).map(([path, from]) => ({ pod: path, host: `${pod}/${from}` }));
      await Deno.mkdir(`${pod}/deep/b`);
      await Deno.mkdir(`${pod}/there/x`);
      const system = [{ pod: "/etc", host: `${pod}/secret` }, { pod: "/usr/lib", host: `${pod}/secret` }];
      const hidden = await inside.capture.show({ files: [...files, ...system], addresses: [] });
      equals(hidden.map(({ path }) => path), ["/etc", "/usr/lib"]);
      const ask = `
cat /var/run/${name}/serviceaccount/name /run/${name}/serviceaccount/name ${pod}/host/name /${name}/a/name /${name}/a/b/name
cat /etc/${name}.conf ${pod}/host/x/name; echo
ls /${name}; [ -e ${pod}/host/own ] && echo own; [ -s /etc/passwd ] && echo passwd; ls -d /run/nothing /proc/self /usr/bin/env 2>&1
echo written > /${name}/a/new; echo host > ${pod}/new; pwd
`;
      const { stdout, stderr, code } = await inside.run("sh", "-c", ask);
      equals({ stdout, stderr, code }, {
        stdout: "secretsecrettheredeepbelowdeepthere\na\npasswd\n" +
          "ls: cannot access '/run/nothing': No such file or directory\n/proc/self\n/usr/bin/env\n" +
          `${Deno.cwd()}\n`,
        stderr: "",
        code: 0,
      });
      equals(await Deno.readTextFile(`${pod}/deep/new`), "written\n");
      equals(await Deno.readTextFile(`${pod}/new`), "host\n");
      for (const path of [`/${name}`, `/run/${name}`, `/etc/${name}.conf`, `${pod}/host/x`]) {
        equals(await Deno.lstat(path).then(() => "there", () => "not there"), "not there", path);
      }
      equals((await Deno.readTextFile("/proc/self/mountinfo")).includes(name), false);
    } finally {
      await Deno.remove(pod, { recursive: true });
    }
  },
);
