/** A session seen at work on a real cluster: `status --watch`, `--record`, `report`. */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { splitLines } from "@/util/mod.ts";
import { openOnTerminal } from "../launcher/terminal.ts";
import { type Cluster, clusterTest, inAnotherPod, PROGRAM, run, start, withNamespace } from "./harness.ts";

interface Seen {
  readonly totals: { readonly opened: number; readonly accepted: number; readonly failed: number };
  readonly flows: readonly Record<string, unknown>[];
}

/** Watches until a moment is as it is wanted. @throws after a minute, with the last moment */
async function watchUntil(cluster: Cluster, what: string, isWanted: (seen: Seen) => boolean): Promise<Seen> {
  const child = new Deno.Command(PROGRAM, {
    args: ["status", "--watch", "--output", "json"],
    env: { KUBECONFIG: cluster.kubeconfig, XDG_STATE_HOME: cluster.state },
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const timer = setTimeout(() => child.kill("SIGTERM"), 60_000);
  let last = "nothing";
  try {
    for await (const line of child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(splitLines())) {
      const seen: Seen = JSON.parse(last = line);
      if (isWanted(seen)) return seen;
    }
    throw new Error(`Watched in vain for ${what}; at last: ${last}`);
  } finally {
    clearTimeout(timer);
    try {
      child.kill("SIGTERM");
    } catch {
      // it has ended
    }
    await child.status;
  }
}

const PYTHON = `import socket, sys
host = sys.argv[1]
conn = socket.create_connection((host, 80))
conn.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
for attempt in [lambda: socket.create_connection((host, 81)), lambda: socket.gethostbyname("no-such-name." + host)]:
    try: attempt()
    except OSError: pass
server = socket.create_server(("127.0.0.1", 8097))
print("up", file=sys.stderr, flush=True)
server.settimeout(30)
accepted, _ = server.accept()
accepted.recv(9)
sys.stdin.read()
`;

for (const method of ["inject-tcp", "namespace"] as const) {
  clusterTest(
    `with ${method}, status --watch shows connections as they are, and --record and report tell of them`,
    async (cluster) => {
      await withNamespace(cluster, "seen", async (namespace) => {
        const host = `helloworld.${cluster.namespace}`;
        const record = `${cluster.directory}/record`;
        await Deno.writeTextFile(`${cluster.directory}/program.py`, PYTHON);
        const words = [
          "--namespace",
          namespace,
          "--method",
          method,
          "-n",
          "seen",
          "--expose",
          "8097",
          "--record",
          record,
        ];
        await using session = start(cluster, [...words, "--run", "python3", "program.py", host]);
        await session.said(/^up$/m);
        const url = `http://seen.${namespace}:8097/some-words`;
        // Refused until the port is bound everywhere; held, by a server that never answers, once it is.
        const curl = `curl --silent --max-time 3 ${url}`;
        const calling = inAnotherPod(cluster, "sh", "-c", `while ${curl}; [ $? -lt 28 ]; do sleep 0.2; done`);
        const isFrom = (flow: Record<string, unknown>) => flow["kind"] === "exposed" && flow["state"] === "open";
        const { flows, totals } = await watchUntil(cluster, "the caller", (seen) => seen.flows.some(isFrom));
        await calling;

        const open = flows.find(({ kind, state }) => kind === "tcp" && state === "open");
        equals([open?.["name"], open?.["port"], open?.["program"]], [host, 80, "python3"], JSON.stringify(flows));
        ok(Number(open?.["received"]) > 100 && Number(open?.["sent"]) > 10);
        match(String(open?.["pid"]), /^\d+$/);
        const refused = flows.find(({ kind, state }) => kind === "tcp" && state === "failed");
        equals([refused?.["error"], refused?.["port"], refused?.["name"]], ["ECONNREFUSED", 81, host]);
        if (method === "inject-tcp") {
          // The program is told by itself: what the pod refuses has no connection by which it could be found.
          const failed = flows.filter(({ kind, state }) => kind !== "exposed" && state === "failed");
          equals(failed.map(({ program, pid }) => [program, pid]), failed.map(() => ["python3", open?.["pid"]]));
        }
        const unresolved = flows.find(({ kind, state }) => kind === "lookup" && state === "failed");
        match(String(unresolved?.["host"]), /^no-such-name\./);
        match(String(flows.find(isFrom)?.["host"]), /^[\d.]+$|:/);
        equals(flows.find(isFrom)?.["port"], 8097);
        ok(totals.opened >= 1 && totals.accepted >= 1 && totals.failed >= 2, JSON.stringify(totals));

        const { code, stderr } = await session.ended();
        equals(code, 0, stderr);
        match(
          stderr,
          /^T: Ended after .*: \d+ connections?, \d+ from the cluster, \d+ failed, .* sent, .* received\./m,
        );
        equals(((await Deno.stat(record)).mode ?? 0) & 0o777, 0o600);
        const lines = (await Deno.readTextFile(record)).trimEnd().split("\n").map((line) => JSON.parse(line));
        equals([lines[0].line, lines.at(-1).line], ["session", "end"]);
        ok(lines.some(({ host, error }) => /^no-such-name/.test(host) && error !== undefined));
        ok(!(await Deno.readTextFile(record)).includes("some-words"), "no payload");
        const report = await run(cluster, "report", record);
        match(report.stdout, /^<!DOCTYPE html>[^]*ECONNREFUSED[^]*<\/html>\n$/);
        equals((await run(cluster, "status", "--watch")).code, 255, "there is nothing to watch any more");
        const left = await Array.fromAsync(Deno.readDir(cluster.state));
        equals(left.map(({ name }) => name).filter((name) => name.endsWith(".sock")), []);
      });
    },
  );
}

clusterTest(
  "status --watch on a terminal is one table that is written over, to the end of the session or Ctrl-C",
  async (cluster) => {
    await using session = start(cluster, ["--run", "sh", "-c", "echo up >&2; read _; exit 0"]);
    await session.said(/^up$/m);
    const env = { KUBECONFIG: cluster.kubeconfig, XDG_STATE_HOME: cluster.state, TERM: "xterm" };
    await using stopped = openOnTerminal([PROGRAM, "status", "--watch"], env, 60);
    // deno-lint-ignore no-control-regex -- what is written over is what this is about
    await stopped.shows(/\r\x1b\[JSession [0-9a-f]{10} \(--new-deployment[^\n]*\.\.\.\r\n/);
    // deno-lint-ignore no-control-regex -- as above
    await stopped.shows(/\x1b\[\d+A\r\x1b\[JSession /);
    await stopped.type("\x03");
    equals(await stopped.ended(), 130);
    await using watching = openOnTerminal([PROGRAM, "status", "--watch"], env, 60);
    await watching.shows(/Session /);
    await session.ended();
    equals(await watching.ended(), 0);
  },
);
