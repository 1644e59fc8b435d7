import assert from "node:assert/strict";
import { retryOnConflict } from "./retry_on_conflict.ts";
import { isConflict, KubeError } from "./status.ts";

const conflict = () => new KubeError("changed", { status: 409, reason: "Conflict" });

Deno.test("retryOnConflict() makes a change again while there is a conflict, and not for other refusals", async () => {
  let count = 0;
  const change = () => ++count < 3 ? Promise.reject(conflict()) : Promise.resolve("done");
  assert.equal(await retryOnConflict(change), "done");
  assert.equal(count, 3);
  count = -10;
  await assert.rejects(retryOnConflict(change, { attempts: 2 }), isConflict);
  assert.equal(count, -8);
  const exists = new KubeError("exists", { status: 409, reason: "AlreadyExists" });
  await assert.rejects(retryOnConflict(() => Promise.reject(exists)), exists);
  const reason = new Error("enough");
  await assert.rejects(
    retryOnConflict(() => Promise.reject(conflict()), { signal: AbortSignal.abort(reason) }),
    reason,
  );
});
