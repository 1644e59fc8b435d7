/** `--method namespace` on a real cluster: programs of every making behave as in the pod, and the machine stays as it was. */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { probeNamespace } from "@/capture/mod.ts";
import { runProgram } from "@/process/mod.ts";
import {
  type Cluster,
  clusterTest,
  type Ended,
  inAnotherPod,
  leavesNothing,
  NAMESPACE,
  PROGRAM,
  run,
  start,
  until,
} from "./harness.ts";

const PAGE = /<h1>Hello, world!<\/h1>/;
const QUALIFIED = `helloworld.${NAMESPACE}`;
const NAMES = ["helloworld", QUALIFIED, `${QUALIFIED}.svc.cluster.local`];

const verdict = await probeNamespace(
  await Deno.readFile(new URL("../../build/netns/telepresence-netns", import.meta.url)),
);

/** A test of the namespace, skipped with one line where this machine allows none. */
function namespaceTest(name: string, body: (cluster: Cluster) => Promise<void>): void {
  if (verdict.allowed) return clusterTest(name, body);
  Deno.test({ name: `${name} (skipped: ${verdict.reason})`, ignore: true, fn() {} });
}

function wentWell({ code, stdout, stderr }: Ended): void {
  equals(code, 0, `exit code ${code}\n${stdout}\n${stderr}`);
}

const inside = (cluster: Cluster, ...command: string[]) => run(cluster, "--method", "namespace", "--run", ...command);

/** Whether a program is here; tests of programs that are not are no failures. */
async function isHere(program: string): Promise<boolean> {
  return (await runProgram(["sh", "-c", `command -v ${program}`])).code === 0;
}

/** What a session could change on the machine. */
interface Machine {
  /** Byte for byte: nftables' rules, and the files of the resolver. */
  readonly same: string;
  /** Routes, addresses and mounts; other programs of this machine may take theirs away meanwhile. */
  readonly lines: readonly string[];
}

async function machine(): Promise<Machine> {
  const output = async (script: string) => (await runProgram(["sh", "-c", script])).stdout;
  const lines = await output(
    "ip route show table all; ip -6 route show table all; ip -o address; cut -d' ' -f5- /proc/self/mountinfo",
  );
  return {
    same: await output("nft list ruleset 2>&1; ls -l /etc/resolv.conf; cat /etc/resolv.conf /etc/nsswitch.conf"),
    lines: lines.split("\n").filter((line) => /telepresence|192\.0\.0\.|100::8/.test(line)),
  };
}

/** Waits until the machine is as it was. */
async function isAsBefore(before: Machine): Promise<void> {
  let after = before;
  await until("the machine is as it was", async () => {
    after = await machine();
    return JSON.stringify(after) === JSON.stringify(before);
  }).catch(() => equals(after, before));
}

/** Waits until no process is in a network namespace any more: then the kernel has none of that number either. */
async function isGone(namespace: string): Promise<void> {
  await until(`no process is in ${namespace}`, async () => {
    return !(await runProgram(["sh", "-c", "readlink /proc/[0-9]*/ns/net"])).stdout.includes(namespace);
  });
}

namespaceTest(
  "all three names of a Service answer, by curl, python, busybox and node's own resolver",
  async (cluster) => {
    const scripts = [
      NAMES.map((name) => `curl -sS http://${name}`).join(" && "),
      NAMES.map((name) => `busybox wget -q -O - http://${name}`).join(" && "),
      `python3 -c "import urllib.request as r
for name in '${NAMES.join(" ")}'.split(): print(r.urlopen('http://' + name).read().decode())"`,
      ...(await isHere("node")
        ? [`node -e "
const dns = require('node:dns'), http = require('node:http');
for (const name of '${NAMES.join(" ")}'.split(' ')) dns.resolve4(name, (error, [address]) => {
  if (error) throw error;
  http.get({ host: address, headers: { host: name } }, (response) => response.pipe(process.stdout));
});"`]
        : []),
    ];
    const ended = await inside(cluster, "sh", "-c", scripts.join("\n"));
    wentWell(ended);
    equals(ended.stdout.match(/<h1>Hello, world!/g)?.length, scripts.length * NAMES.length, ended.stdout);
  },
);

namespaceTest("a static Go program is carried, with --method and without", async (cluster) => {
  if (!await isHere("go")) return;
  await Deno.writeTextFile(`${cluster.directory}/get.go`, GO_GET);
  const built = await runProgram(["go", "build", "-o", "get", "get.go"], {
    cwd: cluster.directory,
    env: { CGO_ENABLED: "0", GO111MODULE: "off" },
  });
  equals(built.code, 0, built.stderr);
  for (const name of NAMES) {
    const ended = await inside(cluster, "./get", name);
    wentWell(ended);
    match(ended.stdout, PAGE);
  }
  const chosen = await run(cluster, "--run", "./get", QUALIFIED);
  wentWell(chosen);
  match(chosen.stdout, PAGE);
  const refused = await run(cluster, "--method", "inject-tcp", "--run", "./get", QUALIFIED);
  equals(refused.code, 255);
  match(refused.stderr, /Cannot carry .* by inject-tcp: it is a Go program[\s\S]*--method namespace carries it/);
});

namespaceTest(
  "a static program opens the pod's volumes at their paths in the pod, and the host's have nothing",
  async (cluster) => {
    const directory = "/var/run/secrets/kubernetes.io/serviceaccount";
    await Deno.writeTextFile(`${cluster.directory}/cat.c`, CAT);
    const built = await runProgram(["gcc", "-static", "-o", "cat", "cat.c"], { cwd: cluster.directory });
    equals(built.code, 0, built.stderr);
    const before = await machine();
    const ended = await inside(cluster, "./cat", `${directory}/namespace`, `${directory}/token`);
    wentWell(ended);
    match(ended.stdout, new RegExp(`^${cluster.namespace}eyJ[\\w-]+\\.`));
    const copied = await run(cluster, "--mount-mode", "copy", "--run", "./cat", `${directory}/namespace`);
    equals(copied.stdout, cluster.namespace, copied.stderr);
    equals(await Deno.stat("/var/run/secrets/kubernetes.io").then(() => true, () => false), false);
    await isAsBefore(before);
  },
);

for (const [test, method] of [[namespaceTest, "namespace"], [clusterTest, "inject-tcp"]] as const) {
  test(`${method}: records of every type are those of the pod, by UDP and TCP, and UDP reaches the cluster`, async (cluster) => {
    const ended = await run(cluster, "--method", method, "--run", "python3", "-c", RECORDS);
    wentWell(ended);
    const said = new Map(ended.stdout.trim().split("\n").map((line) => line.split(" = ") as [string, string]));
    equals(said.get("SRV"), "0 53 kube-dns.kube-system.svc.cluster.local", ended.stdout);
    equals(said.get("SRV by the search list"), said.get("SRV"));
    equals(said.get("SRV by TCP"), said.get("SRV"));
    equals(said.get("PTR"), "0 1 kube-dns.kube-system.svc.cluster.local");
    equals(said.get("TXT of a name without one"), "0 0");
    equals(said.get("AAAA of a name without one"), "0 0");
    equals(said.get("a name that is not there"), "3 0");
    match(said.get("the cluster's own DNS, by UDP") ?? "", /^0 1 10\./);
  });
}

namespaceTest("errors are the program's own: an unknown name, a port where nobody listens", async (cluster) => {
  equals((await inside(cluster, "curl", "-sS", `http://nosuchservice.${NAMESPACE}`)).code, 6); // CURLE_COULDNT_RESOLVE_HOST
  const refused = "import socket, os, errno; s = socket.socket(); " +
    "print(errno.errorcode[s.connect_ex((socket.gethostbyname(os.environ['TELEPRESENCE_POD']), 1))])";
  equals((await inside(cluster, "python3", "-c", refused)).stdout.trim(), "ECONNREFUSED");
});

namespaceTest("exit codes and signals are the command's own", async (cluster) => {
  equals((await inside(cluster, "sh", "-c", "exit 113")).code, 113);
  const absent = await inside(cluster, "no-such-program");
  equals(absent.code, 255);
  match(absent.stderr, /no-such-program: command not found/);
  await using running = start(cluster, [
    "--method",
    "namespace",
    "--run",
    "sh",
    "-c",
    "trap 'exit 7' INT; echo ready >&2; while :; do sleep 0.1; done",
  ]);
  await running.said(/ready/);
  running.kill("SIGINT");
  equals((await running.ended()).code, 7);
});

namespaceTest("localhost of the host is reached from inside, and the API server too", async (cluster) => {
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => new Response("of the host\n"),
  );
  const ended = await inside(
    cluster,
    "sh",
    "-c",
    `curl -sS http://localhost:${server.addr.port}/ && ${PROGRAM} --logfile /dev/null --method namespace --run echo nested`,
  );
  wentWell(ended);
  equals(ended.stdout, "of the host\nnested\n");
});

namespaceTest("an exposed port reaches a listener inside, from the cluster and from the host", async (cluster) => {
  await Deno.writeTextFile(`${cluster.directory}/here.txt`, "served inside\n");
  await leavesNothing(cluster, async () => {
    await using running = start(cluster, [
      ...["--method", "namespace", "--new-deployment", "inside", "--expose", "18080:8080"],
      ...["--publish", "18081", "--run", "python3", "-c", TWO_SERVERS],
    ]);
    await running.said(/Forwarding remote port 8080 to local port 18080\./);
    const url = (host: string, port: number) => `http://${host}:${port}/here.txt`;
    await until("another pod gets the file", async () => {
      const { stdout } = await inAnotherPod(cluster, "curl", "-sS", "--max-time", "5", url("inside", 8080));
      return stdout === "served inside\n";
    });
    const onHost = await runProgram(["curl", "-sS", url("127.0.0.1", 18080)]);
    equals(onHost.stdout, "served inside\n", onHost.stderr);
    equals((await runProgram(["curl", "-sS", url("127.0.0.1", 18081)])).stdout, "served inside\n", "published");
    running.kill("SIGINT");
    equals((await running.ended()).code, 0);
  });
});

namespaceTest("100 MB from the cluster and back come out equal", async (cluster) => {
  const script = `
import os, hashlib, http.server, threading, urllib.request, socket
data = os.urandom(1 << 20) * 100
class Serve(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", str(len(data))); self.end_headers(); self.wfile.write(data)
    def do_PUT(self):
        self.server.got = self.rfile.read(int(self.headers["Content-Length"])); self.send_response(204); self.end_headers()
    def log_message(self, *words): pass
server = http.server.ThreadingHTTPServer(("", 8099), Serve)
threading.Thread(target=server.serve_forever, daemon=True).start()
pod = "http://equal.${NAMESPACE}:8099/"
import time
for attempt in range(50):
    try: got = urllib.request.urlopen(pod).read(); break
    except OSError as error: time.sleep(0.3)
urllib.request.urlopen(urllib.request.Request(pod, data=data, method="PUT"))
print(got == data, server.got == data)
`;
  const ended = await run(
    cluster,
    ...["--method", "namespace", "--new-deployment", "equal", "--expose", "8099", "--run", "python3", "-c", script],
  );
  wentWell(ended);
  equals(ended.stdout, "True True\n"); // out through the Service, in through the exposed port, and back
});

namespaceTest(
  "two sessions at once, and one by inject-tcp: nothing is left on the machine afterwards",
  async (cluster) => {
    const before = await machine();
    const ask = ["sh", "-c", `readlink /proc/self/ns/net; for i in 1 2 3; do curl -sS http://${QUALIFIED}; done`];
    const by = (method: string) => run(cluster, "--logfile", "/dev/null", "--method", method, "--run", ...ask);
    const sessions = await Promise.all(["namespace", "namespace", "inject-tcp"].map(by));
    const namespaces = new Set<string>();
    for (const session of sessions) {
      wentWell(session);
      equals(session.stdout.match(/<h1>Hello, world!/g)?.length, 3);
      namespaces.add(/net:\[\d+\]/.exec(session.stdout)?.[0] ?? "");
    }
    const own = await Deno.readLink("/proc/self/ns/net");
    equals(namespaces.size, 3, "each has its own, and inject-tcp the host's");
    ok(namespaces.delete(own));
    for (const namespace of namespaces) await isGone(namespace);
    await isAsBefore(before);
  },
);

namespaceTest("a session that is killed leaves no relay and no namespace", async (cluster) => {
  const before = await machine();
  const command = `echo pid $$ $(readlink /proc/self/ns/net) >&2; curl -sS http://${QUALIFIED} >/dev/null; read _`;
  const running = start(cluster, ["--method", "namespace", "--run", "sh", "-c", command]);
  await running.said(/pid \d+ net:\[\d+\]/);
  running.kill("SIGKILL");
  const { stderr } = await running.ended(); // the command, an orphan now, ends with its standard input
  await isGone(/net:\[\d+\]/.exec(stderr)?.[0] ?? "nothing was said");
  await isAsBefore(before);
});

const RECORDS = `
import socket, struct
def name(m, at):
    labels, end = [], None
    while m[at]:
        if m[at] >= 192:
            end = end or at + 2
            at = (m[at] & 63) << 8 | m[at + 1]
        else:
            labels.append(m[at + 1:at + 1 + m[at]].decode()); at += m[at] + 1
    return ".".join(labels), end or at + 1
def ask(what, kind, server=("192.0.0.8", 53), tcp=False):
    q = struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, 0) + b"".join(bytes([len(l)]) + l.encode() for l in what.split(".")) + b"\\0" + struct.pack("!HH", kind, 1)
    if tcp:
        s = socket.create_connection(server); s.sendall(struct.pack("!H", len(q)) + q); f = s.makefile("rb")
        m = f.read(struct.unpack("!H", f.read(2))[0])
    else:
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(10); s.sendto(q, server); m = s.recv(65535)
    count, at = struct.unpack("!H", m[6:8])[0], name(m, 12)[1] + 4
    words = [str(m[3] & 15), str(count)]
    if count:
        at = name(m, at)[1] + 10
        if kind == 33: words += [str(struct.unpack("!H", m[at + 4:at + 6])[0]), name(m, at + 6)[0]]
        elif kind == 12: words += [name(m, at)[0]]
        elif kind == 1: words += [socket.inet_ntoa(m[at:at + 4])]
    if kind == 33: words.pop(1)
    return " ".join(words)
dns = socket.gethostbyname("kube-dns.kube-system")
for title, words in {
    "SRV": ask("_dns._udp.kube-dns.kube-system.svc.cluster.local", 33),
    "SRV by the search list": ask("_dns._udp.kube-dns.kube-system.svc", 33),
    "SRV by TCP": ask("_dns._udp.kube-dns.kube-system.svc", 33, tcp=True),
    "PTR": ask(".".join(reversed(dns.split("."))) + ".in-addr.arpa", 12),
    "TXT of a name without one": ask("${QUALIFIED}", 16),
    "AAAA of a name without one": ask("${QUALIFIED}", 28),
    "a name that is not there": ask("nothing.${NAMESPACE}", 1),
    "the cluster's own DNS, by UDP": ask("${QUALIFIED}.svc.cluster.local", 1, (dns, 53)),
}.items(): print(title, "=", words)
`;

const TWO_SERVERS = `
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
second = ThreadingHTTPServer(("127.0.0.1", 18081), SimpleHTTPRequestHandler)
threading.Thread(target=second.serve_forever, daemon=True).start()
try: ThreadingHTTPServer(("", 18080), SimpleHTTPRequestHandler).serve_forever()
except KeyboardInterrupt: pass
`;

const GO_GET = `package main

import (
	"fmt"
	"io"
	"net"
	"os"
)

func main() {
	conn, err := net.Dial("tcp", os.Args[1]+":80")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintf(conn, "GET / HTTP/1.0\\r\\nHost: %s\\r\\n\\r\\n", os.Args[1])
	io.Copy(os.Stdout, conn)
}
`;

/** Prints files, without any library of the machine. */
const CAT = `
#include <stdio.h>
int main(int count, char **paths)
{
    for (int i = 1; i < count; i++) {
        FILE *file = fopen(paths[i], "r");
        if (!file)
            return perror(paths[i]), 1;
        for (int c; (c = getc(file)) != EOF;)
            putchar(c);
    }
    return 0;
}
`;
