/** Whichever request loses its connection or is put off: a session ends in words, or goes on, and leaves nothing. */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { startFakeCluster, unavailable } from "../testkit/mod.ts";
import { run } from "./harness.ts";

const WORDS = ["--expose", "9999:9998", "-nweb", "--run", "sh", "-c", "exit 3"];

for (const kind of ["cut", "cut-answer"] as const) {
  const when = kind === "cut" ? "before it is carried out" : "in the middle of its answer";
  Deno.test(`each request in its turn loses its connection ${when}`, async (t) => {
    await using whole = await startFakeCluster();
    equals((await run(whole, WORDS)).code, 3);
    const count = whole.requests.length;
    ok(count > 15, "the requests of a session, one after the other");
    for (let skip = 0; skip < count; skip++) {
      await t.step(`request ${skip + 1} of ${count}`, async () => {
        await using cluster = await startFakeCluster();
        cluster.faults.add({}, { kind }, 1, skip);
        const { code, stdout, stderr } = await run(cluster, WORDS);
        const said = `${cluster.requests[skip]}\n${stderr}`;
        ok(code === 3 || code === 255, `${code}: ${said}`);
        if (code === 255) match(stderr, /^T: Error: Cannot .* lost the connection to the API server/m, said);
        ok(!stderr.includes("Cleanup failed"), said);
        equals({ stdout, left: await cluster.remaining() }, { stdout: "", left: [] }, said);
      });
    }
  });
}

Deno.test("each request in its turn is asked to come again, and does", async (t) => {
  await using whole = await startFakeCluster();
  equals((await run(whole, WORDS)).code, 3);
  for (let skip = 0; skip < whole.requests.length; skip++) {
    await t.step(`request ${skip + 1} of ${whole.requests.length}`, async () => {
      await using cluster = await startFakeCluster();
      cluster.faults.add({}, { kind: "refuse", refusal: unavailable(0) }, 1, skip);
      const { code, stderr } = await run(cluster, WORDS);
      const said = `${cluster.requests[skip]}\n${stderr}`;
      equals({ code, lines: stderr.split("\n").length - 1, left: await cluster.remaining() }, {
        code: 3,
        lines: 2,
        left: [],
      }, said);
    });
  }
});
