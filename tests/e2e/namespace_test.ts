/** `--method namespace` on a real cluster: programs of every making behave as in the pod, and the machine stays as it was. */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { runProgram } from "@/process/mod.ts";
import {
  buildGet,
  hearsEcho,
  hearsRecords,
  hearsRecordsByGo,
  isHere,
  NAMES,
  NODE_GET,
  PAGE,
  reachesServices,
} from "./as_in_pod.ts";
import {
  type Cluster,
  clusterTest,
  inAnotherPod,
  leavesNothing,
  NAMESPACE,
  PROGRAM,
  run,
  start,
  until,
  withNamespace,
} from "./harness.ts";
import { namespaceTest, shellBy, wentWell } from "./namespace_harness.ts";

const [, QUALIFIED = ""] = NAMES;

const inside = (cluster: Cluster, ...command: string[]) => run(cluster, "--method", "namespace", "--run", ...command);

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
      ...(await isHere("node") ? [`node -e '${NODE_GET}'`] : []),
    ];
    const ended = await inside(cluster, "sh", "-c", scripts.join("\n"));
    wentWell(ended);
    equals(ended.stdout.match(/<h1>Hello, world!/g)?.length, scripts.length * NAMES.length, ended.stdout);
  },
);

namespaceTest("a static Go program is carried, with --method and without", async (cluster) => {
  if (await buildGet(cluster) === undefined) return;
  for (const name of NAMES) {
    const ended = await inside(cluster, "./get", name);
    wentWell(ended);
    match(ended.stdout, PAGE);
  }
  await hearsRecordsByGo("./get", shellBy(cluster, "namespace"));
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
    await hearsRecords(shellBy(cluster, method));
    await hearsEcho(cluster, shellBy(cluster, method));
  });

  test(`${method}: new Services, headless ones and an ExternalName are reached`, async (cluster) => {
    await withNamespace(cluster, "names", async (namespace) => {
      await reachesServices(cluster, namespace, shellBy(cluster, method));
    });
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

namespaceTest("a port to publish that is in use is told before anything is made", async (cluster) => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr;
  const words = ["--quiet", "--method", "namespace", "--publish", String(port), "--run", "true"];
  equals(await run(cluster, ...words), {
    code: 255,
    stdout: "",
    stderr: `T: Error: Cannot publish port ${port} on this machine: Address already in use\n` +
      `T: Hint: See who has it: ss --listening --tcp --processes sport = ${port}\n`,
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
    // Each waits for the others: a namespace that is gone gives its number to the next one.
    const here = await Deno.makeTempDir();
    await using _here = { [Symbol.asyncDispose]: () => Deno.remove(here, { recursive: true }) };
    const all = `mktemp -p ${here} >&2; while [ $(ls ${here} | wc -l) -lt 3 ]; do sleep 0.1; done`;
    const asks = `for i in 1 2 3; do curl -sS http://${QUALIFIED}; done`;
    const ask = ["sh", "-c", `readlink /proc/self/ns/net; ${all}; ${asks}`];
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

const TWO_SERVERS = `
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
second = ThreadingHTTPServer(("127.0.0.1", 18081), SimpleHTTPRequestHandler)
threading.Thread(target=second.serve_forever, daemon=True).start()
try: ThreadingHTTPServer(("", 18080), SimpleHTTPRequestHandler).serve_forever()
except KeyboardInterrupt: pass
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
