/** An API server that is there and does not do what gives things back: busy, overloaded, or failing inside. */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { type FakeCluster, Refusal, startFakeCluster, tooManyRequests, unavailable } from "../testkit/mod.ts";
import { run } from "./harness.ts";
import { essence, putWeb, startInPlace } from "./web.ts";

const FAILED = new Refusal(500, "etcdserver: request timed out", { reason: "InternalError" });

/** A session in the place of `web`, ended by a signal once `spoil` has been called. */
async function endSpoiled(cluster: FakeCluster, spoil: () => void, cleanUpMs?: number) {
  const session = await startInPlace(cluster, cleanUpMs === undefined ? {} : { cleanUpMs });
  spoil();
  session.send("SIGTERM");
  return await session.ended;
}

Deno.test("a server that is busy for a moment gets its time, is told of, and then everything is given back", async (t) => {
  const cases = [
    { refusal: tooManyRequests(1), times: 1, words: /HTTP status 429: the server has received too many requests / },
    { refusal: unavailable(), times: 3, words: /HTTP status 503: the server is currently unable to handle / },
    { refusal: FAILED, times: 3, words: /HTTP status 500: etcdserver: request timed out/ },
  ];
  for (const { refusal, times, words } of cases) {
    await t.step(String(refusal.status), async () => {
      await using cluster = await startFakeCluster();
      await putWeb(cluster);
      const before = essence(cluster);
      let asked = 0;
      const { code, stderr } = await endSpoiled(cluster, () => {
        asked = cluster.requests.length;
        cluster.faults.add({ verb: "patch", resource: "deployments" }, { kind: "refuse", refusal }, times);
      });
      equals(code, 143, stderr);
      equals([essence(cluster), await cluster.remaining()], [before, []]);
      const told = stderr.match(/^T: The API server refuses for now: .*\. Trying again \.\.\.$/gm) ?? [];
      equals(told.length, 1, stderr);
      match(told[0] ?? "", words);
      ok(!/does not answer|Cleanup failed/.test(stderr), stderr);
      const patches = cluster.requests.slice(asked).filter((line) => /PATCH .*\/deployments\/web\b/.test(line));
      equals(patches.length, times + 1, "each refusal is one request: nobody asks before the time that it names");
    });
  }
});

Deno.test("a server that stays busy is told with its status and words, and the command that does it by hand", async (t) => {
  const cases = [
    { refusal: tooManyRequests(30), words: "HTTP status 429: the server has received too many requests and has asked" },
    { refusal: unavailable(), words: "HTTP status 503: the server is currently unable to handle the request" },
    { refusal: FAILED, words: "HTTP status 500: etcdserver: request timed out" },
  ];
  for (const { refusal, words } of cases) {
    await t.step(String(refusal.status), async () => {
      await using cluster = await startFakeCluster();
      await putWeb(cluster);
      const spoil = () => cluster.faults.add({ verb: "patch", resource: "deployments" }, { kind: "refuse", refusal });
      const { code, stderr } = await endSpoiled(cluster, spoil, 600);
      equals(code, 143, stderr);
      const lead = 'Cannot give back deployment/web in namespace "default": the API server refused it for 0.6 s: ';
      ok(stderr.includes(`T: Cleanup failed: ${lead}${words}`), stderr);
      match(stderr, /^T: Hint: kubectl scale deployment\/web --namespace default --replicas 3$/m);
      const [, session] = /^T: Whoever has .*: telepresence recover --namespace default (\w{10})$/m.exec(stderr) ?? [];
      ok(session !== undefined, stderr);
      const [claim] = await cluster.remaining();
      match(String(claim), /telepresence\.deployment\.web/, "it says how the place is given back");

      cluster.faults.clear();
      const elsewhere = { env: { XDG_STATE_HOME: `${cluster.directory}/another-machine` } };
      const { code: healed, stderr: said } = await run(cluster, ["recover", session], elsewhere);
      equals(healed, 0, said);
      match(said, /^T: Gave back deployment\/web \(had 3 replicas\) in namespace "default"$/m);
      equals(await cluster.remaining(), []);
    });
  }
});
