/** A session whose pod is replaced: what the program shows from then on is the pod that it is in. */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { type FakeCluster, startFakeCluster } from "../testkit/mod.ts";
import { run, startRunning } from "./harness.ts";

async function shown(cluster: FakeCluster): Promise<string> {
  const { stdout } = await run(cluster, ["status", "--output", "json"]);
  return JSON.parse(stdout).sessions[0].pod;
}

/** The next moment of `status --watch`, from its socket. */
async function watched({ directory }: FakeCluster): Promise<string> {
  const sessions = `${directory}/.local/state/telepresence/sessions`;
  for await (const { name } of Deno.readDir(sessions)) {
    if (!name.endsWith(".sock")) continue;
    using conn = await Deno.connect({ transport: "unix", path: `${sessions}/${name}` });
    const buffer = new Uint8Array(65536);
    const count = await conn.read(buffer) ?? 0;
    return JSON.parse(new TextDecoder().decode(buffer.subarray(0, count)).split("\n")[0] ?? "").pod;
  }
  throw new Error("Nothing to watch");
}

Deno.test("after its pod was replaced, status and status --watch name the one that the session is in", async () => {
  await using cluster = await startFakeCluster();
  const session = await startRunning(cluster);
  const first = cluster.pod().metadata.name;
  equals([await shown(cluster), await watched(cluster)], [first, first]);
  cluster.deletePod();
  await session.said(/Connected to the proxy's pod "(\S+)"/);
  const [, second = ""] = /Connected to the proxy's pod "(\S+)"/.exec(session.stderr()) ?? [];
  ok(second !== first, second);
  equals([await shown(cluster), await watched(cluster)], [second, second]);
  match((await run(cluster, ["status"])).stdout, new RegExp(`  ${second}  --new-deployment web$`, "m"));
  session.send("SIGTERM");
  equals((await session.ended).code, 143);
});

Deno.test("a session that was away for longer than its agent waits goes on in the same pod", async () => {
  await using cluster = await startFakeCluster();
  const go = `${cluster.directory}/go`;
  const script = `until [ -e ${go} ]; do sleep 0.05; done; exec curl -sS -o ${cluster.directory}/page http://10.96.0.1`;
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => new Response("still there"));
  cluster.route("10.96.0.1:80", server.addr.port);
  const session = await startRunning(cluster, ["sh", "-c", script]);
  const { name } = cluster.pod().metadata;
  // Away: its connections are gone, and no other comes before the agent has forgotten it.
  const hold = cluster.faults.hold({ resource: "pods/portforward" });
  cluster.dropCarriers();
  await hold.reached;
  await cluster.forgetLinks();
  hold.release();
  await session.said(new RegExp(`Connected to the proxy's pod "${name}"`));
  match(session.stderr(), /^T: The agent has given us up, .*\(--grace\)\. Connecting anew \.\.\.$/m);
  await Deno.writeTextFile(go, "");
  const { code, stderr } = await session.ended;
  equals(code, 0, stderr);
  equals(await Deno.readTextFile(`${cluster.directory}/page`), "still there");
  equals(await cluster.remaining(), []);
});
