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
