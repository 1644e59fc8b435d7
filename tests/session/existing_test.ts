/** A proxy that is there already: its sessions change nothing in the cluster, and are seen nevertheless. */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { type FakeCluster, startFakeCluster } from "../testkit/mod.ts";
import { appears, run, start } from "./harness.ts";

const USING = ["--deployment", "proxy"];

/** Installs what `agent-manifest` prints, as `kubectl apply` would. */
async function install(cluster: FakeCluster): Promise<void> {
  const { stdout } = await run(cluster, ["agent-manifest", "proxy", "--output", "json"]);
  const { items } = JSON.parse(stdout) as { items: (Record<string, unknown> & Manifest)[] };
  for (const { kind, metadata, stringData, ...rest } of items) {
    const texts = Object.entries(stringData ?? {}).map(([field, text]) => [field, btoa(text)]);
    const data = stringData === undefined ? {} : { data: Object.fromEntries(texts) };
    await cluster.put(`${kind.toLowerCase()}s`, { ...rest, ...metadata, ...data });
  }
}

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels: Record<string, string> };
  readonly stringData?: Record<string, string>;
}

interface Told {
  readonly session: string;
  readonly namespace: string;
  readonly context: string;
  readonly state: string;
  readonly doing: string;
  readonly objects: readonly string[];
  readonly pid?: number;
  readonly since: string;
  readonly by: string;
}

async function sessions(cluster: FakeCluster): Promise<readonly Told[]> {
  const { stdout, stderr } = await run(cluster, ["status", "--output", "json"]);
  equals(stderr, "");
  return (JSON.parse(stdout) as { sessions: Told[] }).sessions;
}

function journals(cluster: FakeCluster): string {
  return `${cluster.directory}/.local/state/telepresence/sessions`;
}

Deno.test("status lists a session that uses a proxy which is there, while it runs, and nothing of it afterwards", async () => {
  await using cluster = await startFakeCluster();
  await install(cluster);
  const script = `echo > ${cluster.directory}/up; exec sleep 60`;
  const session = start(cluster, [...USING, "--run", "sh", "-c", script], { env: { USER: "me" } });
  await appears(cluster.directory, "up");
  const [told, ...others] = await sessions(cluster);
  ok(told);
  const { since, by, state, doing, objects, pid } = told;
  equals({ state, doing, objects, pid, others }, {
    state: "running",
    doing: "--deployment proxy",
    objects: [],
    pid: Deno.pid,
    others: [],
  });
  match(since, /^20\d\d-/);
  match(by, /^me@/);
  match((await run(cluster, ["status"])).stdout, /^[0-9a-f]{10} {2}running \(process \d+\) .* --deployment proxy$/m);
  const second = await run(cluster, [...USING, "--run", "true"]);
  equals(second.code, 0, `several may use it: ${second.stderr}`);
  session.send("SIGTERM");
  const { code, steps } = await session.ended;
  equals(code, 143);
  ok(!steps.some((line) => line.startsWith("Ended after")), "nothing was changed, so nothing is accounted for");
  equals(await sessions(cluster), []);
  equals(await Deno.stat(journals(cluster)).catch(() => "gone"), "gone");
});

Deno.test("a session of another machine on the same proxy is told: by status, and to who wants its port", async () => {
  await using cluster = await startFakeCluster();
  await install(cluster);
  const script = `echo > ${cluster.directory}/up; exec sleep 60`;
  const elsewhere = { USER: "them", XDG_STATE_HOME: `${cluster.directory}/elsewhere` }; // as its journal is not here
  const words = [...USING, "--expose", "8081", "--expose", "8080", "--run", "sh", "-c", script];
  const theirs = start(cluster, words, { env: elsewhere });
  await appears(cluster.directory, "up");
  const [told, ...others] = await sessions(cluster);
  ok(told);
  const { session, since, by, ...rest } = told;
  equals([rest, others], [{
    state: "elsewhere",
    context: "fake",
    namespace: "default",
    doing: "--deployment proxy (ports 8080, 8081)",
    objects: [],
  }, []]);
  match(by, /^them@/);
  const { code, stderr } = await run(cluster, [...USING, "--expose", "8080", "--expose", "9000", "--run", "true"]);
  equals(code, 255);
  equals(
    stderr.split("\n").filter((line) => line.includes("  port ")),
    [`T:   port 8080: ${by} has it since ${since} (session ${session})`],
    stderr,
  );
  match(stderr, /^T: Hint: --expose LOCAL:REMOTE takes another port of the pod/m);
  theirs.send("SIGTERM");
  await theirs.ended;
  equals(await sessions(cluster), []);
});

Deno.test("status shows the words of others as words: they steer no terminal, and are no lines of the table", async () => {
  await using cluster = await startFakeCluster();
  const labels = {
    telepresence: "0".repeat(32),
    "telepresence-claim": "x",
    "app.kubernetes.io/managed-by": "telepresence",
  };
  const by = "me@here\x1b[2J\u009b2J\nffffffffff  running  root@yours";
  const place = { kind: "place", workload: "deployment", name: "web", uid: "u", replicas: 1, claim: "x" };
  const data = { by, since: "2026", place: JSON.stringify({ ...place, originalFirst: false }) };
  await cluster.put("configmaps", { name: "x", labels, data });
  const { stdout } = await run(cluster, ["status"]);
  match(
    stdout,
    /^SESSION .*\n0{10} {2}elsewhere {2}2026 +me@here\\u001b\[2J\\u009b2J ffffffffff running root@yours .*\n$/,
  );
  equals((await sessions(cluster))[0]?.by, by, "JSON says it as it is");
  await cluster.put("configmaps", {
    name: "y",
    labels: { ...labels, telepresence: "1".repeat(32) },
    data: { place: "{" },
  });
  equals((await sessions(cluster)).map(({ doing }) => doing), [
    "--swap-deployment deployment/web",
    "--swap-deployment ?",
  ]);
  const odd = JSON.stringify({ ...place, name: "web;x", originalFirst: false });
  await cluster.put("configmaps", {
    name: "z",
    labels: { ...labels, telepresence: "2".repeat(32) },
    data: { place: odd },
  });
  equals((await sessions(cluster)).at(-1)?.doing, "--swap-deployment ?", "it may end up in a command to be pasted");
  const { code, stderr } = await run(cluster, ["recover", "1".repeat(32)]);
  equals([code, stderr], [255, "T: Error: Cannot read a claim on a workload: it does not say of which\n"]);
});

Deno.test("status says of which proxy it could not ask who uses it, and tells the rest", async () => {
  await using cluster = await startFakeCluster();
  await install(cluster);
  cluster.remove("secrets", "proxy-key");
  const { code, stdout, stderr } = await run(cluster, ["status"]);
  equals([code, stdout], [0, "No sessions.\n"]);
  match(stderr, /^T: Who uses deployment "proxy" is not shown: .*secret "proxy-key", which lets us in, is not there$/m);
});

Deno.test("a session on a proxy that is there goes on where it cannot write down that it is", async () => {
  await using cluster = await startFakeCluster();
  await install(cluster);
  const env = { XDG_STATE_HOME: "/proc/none" };
  const { code, stderr } = await run(cluster, [...USING, "--run", "true"], { env });
  equals(code, 0, stderr);
});

Deno.test("the journal of a session that had nothing to undo is no leftover, and the next start takes it away", async () => {
  await using cluster = await startFakeCluster();
  await install(cluster);
  const path = `${journals(cluster)}/5e55.json`;
  const gone = {
    version: 1,
    sessionId: "5e55",
    since: "2026-01-01T00:00:00.000Z",
    by: "me@here",
    process: { pid: Deno.pid, started: "another process of this number" },
    cluster: { context: "no such context", server: "https://nowhere" },
    namespace: "default",
    doing: "--deployment proxy",
  };
  const put = async (steps: unknown[]) => {
    await Deno.mkdir(journals(cluster), { recursive: true });
    await Deno.writeTextFile(path, JSON.stringify({ ...gone, steps }));
  };
  for (const words of [["recover"], [...USING, "--run", "true"]]) {
    await put([]);
    equals(await sessions(cluster), []);
    const { code, stderr } = await run(cluster, words);
    equals(code, 0, stderr);
    ok(!stderr.includes("A session that is gone"), stderr);
    equals(await Deno.stat(path).catch(() => "gone"), "gone", words.join(" "));
  }
  await put([{ kind: "delete", resource: "configmap", name: "claim" }]);
  equals((await sessions(cluster)).map(({ state }) => state), ["left over"], "one that left something is");
});
