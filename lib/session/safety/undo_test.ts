import { deepStrictEqual as equals, match, ok, rejects } from "node:assert/strict";
import { type KubeClient, KubeError } from "@/kube/mod.ts";
import { silentLog } from "@/log/mod.ts";
import type { PlaceStep } from "./record.ts";
import { makeCleanUp, undoStep } from "./undo.ts";

const POD: PlaceStep = {
  kind: "place",
  workload: "pod",
  name: "web",
  uid: "u",
  replicas: 1,
  claim: "telepresence.pod.web",
  originalFirst: false,
  manifest: { metadata: { name: "web" } },
};

/** What undoes on this cluster. @returns the options, and what is told */
function undoing(kube: Partial<KubeClient>) {
  const told: string[] = [];
  const say = (line: string) => void told.push(line);
  const cleanUp = makeCleanUp();
  return {
    told,
    options: { kube: kube as KubeClient, log: silentLog, namespace: "shop", sessionId: "5e55", say, cleanUp },
  };
}

const notFound = () => Promise.reject(new KubeError("Cannot get it: not found", { status: 404, words: "not found" }));

/** A server that never answers. */
const never: KubeClient["get"] = (_resource, _where, { signal } = {}) => {
  const { promise, reject } = Promise.withResolvers<never>();
  signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
  return promise;
};

/** Lets timers run a thousand times as fast. */
function fastTimers(): Disposable {
  const { setTimeout } = globalThis;
  const fast = (callback: () => void, ms = 0) => setTimeout(callback, ms / 1000);
  globalThis.setTimeout = fast as typeof globalThis.setTimeout;
  return { [Symbol.dispose]: () => void (globalThis.setTimeout = setTimeout) };
}

Deno.test("undoStep() waits 45 s for a Pod, which must be gone before it can be made again, and says so", async () => {
  using _fast = fastTimers();
  const { options } = undoing({ get: never });
  const start = performance.now();
  await rejects(undoStep(POD, options), (error: Error) => {
    equals(
      error.message,
      'Cannot give back pod/web in namespace "shop": the API server did not answer within 45 s',
    );
    return true;
  });
  ok(performance.now() - start > 40, "what is said is what was waited");
});

Deno.test("undoStep() makes no Pod again in a namespace that was deleted or is being deleted", async (t) => {
  const causes = [{ reason: "NamespaceTerminating", message: "shop is being terminated", field: "metadata.namespace" }];
  const refusals = [
    new KubeError("Cannot create it", { status: 404, words: 'namespaces "shop" not found' }),
    new KubeError("Cannot create it", { status: 403, words: 'pods "web" is forbidden', causes }),
  ];
  for (const refusal of refusals) {
    await t.step(refusal.words, async () => {
      const { options, told } = undoing({ get: notFound, create: () => Promise.reject(refusal) });
      equals(await undoStep(POD, options), "left");
      match(told.join("\n"), /^pod\/web is not made again: namespace "shop" was deleted$/);
    });
  }
  await t.step("any other refusal is told as that, and stays one", async () => {
    const quota = new KubeError("Cannot create it", { status: 403, words: "exceeded quota: few", reason: "Forbidden" });
    const { options } = undoing({ get: notFound, create: () => Promise.reject(quota) });
    await rejects(undoStep(POD, options), (error: KubeError) => {
      equals(
        [error.status, error.message],
        [403, 'Cannot give back pod/web in namespace "shop": exceeded quota: few'],
      );
      return true;
    });
  });
});
