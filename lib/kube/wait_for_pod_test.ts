import { UserError } from "@/util/mod.ts";
import assert from "node:assert/strict";
import { startServer, type TestServer, writeText } from "./_test_server.ts";
import { openKubeClient } from "./open_kube_client.ts";
import { waitForPod } from "./wait_for_pod.ts";

const pod = (uid: string, status: unknown, metadata = {}) => ({
  metadata: {
    name: uid,
    uid,
    resourceVersion: "2",
    creationTimestamp: `2030-01-01T00:00:0${uid.at(-1)}Z`,
    ...metadata,
  },
  spec: { containers: [] },
  status,
});
const waiting = (reason: string) => ({
  containerStatuses: [{ name: "c", state: { waiting: { reason, message: "x" } } }],
});
const running = { containerStatuses: [{ name: "c", state: { running: {} } }] };
const ready = { ...running, conditions: [{ type: "Ready", status: "True" }] };
const warning = (uid: string, reason: string) => ({
  metadata: { name: reason, uid: reason, resourceVersion: "2" },
  involvedObject: { kind: "Pod", uid },
  type: "Warning",
  reason,
  message: "y",
});

/** A server with no pods and events at first, that then tells of these. */
function cluster(pods: [type: string, object: unknown][], warnings: unknown[] = []): TestServer {
  const toldOfPods = Promise.withResolvers<void>();
  return startServer({
    async answer({ request: { url }, conn }) {
      if (!url.searchParams.has("watch")) return { body: { metadata: { resourceVersion: "1" }, items: [] } };
      await writeText(conn, "HTTP/1.1 200 OK\r\n\r\n");
      const ours = url.pathname.endsWith("/pods");
      if (!ours) await toldOfPods.promise;
      const changes = ours ? pods : warnings.map((object) => ["ADDED", object]);
      for (const [type, object] of changes) await writeText(conn, JSON.stringify({ type, object }) + "\n");
      if (ours) toldOfPods.resolve();
      await conn.read(new Uint8Array(1));
      return undefined;
    },
  });
}

Deno.test("waitForPod() gives the pod when it is ready, or as soon as it runs", async () => {
  for (const until of ["running", "ready"] as const) {
    const told: string[] = [];
    await using server = cluster([
      ["ADDED", pod("p1", waiting("ErrImagePull"))],
      ["MODIFIED", pod("p1", waiting("ErrImagePull"))],
      ["MODIFIED", pod("p1", running)],
      ...(until === "ready" ? [["MODIFIED", pod("p1", ready)] as [string, unknown]] : []),
    ]);
    await using kube = openKubeClient(server.config());
    const options = { labelSelector: "app=web", until, onObstacle: (words: string) => told.push(words) };
    assert.equal((await waitForPod(kube, options)).metadata.name, "p1");
    assert.deepEqual(told, ['container "c": ErrImagePull: x']);
    assert.ok(server.seen.every(({ url }) => url.pathname.endsWith("/events") || url.search.includes("app%3Dweb")));
  }
});

Deno.test("waitForPod() follows a pod that replaces another", async () => {
  await using server = cluster([
    ["ADDED", pod("p1", running)],
    ["ADDED", pod("p2", waiting("ContainerCreating"))],
    ["MODIFIED", pod("p1", ready)], // the old one
    ["MODIFIED", pod("p1", ready, { deletionTimestamp: "2030-01-01T00:01:00Z" })],
    ["DELETED", pod("p1", ready)],
    ["MODIFIED", pod("p2", ready)],
  ]);
  await using kube = openKubeClient(server.config());
  assert.equal((await waitForPod(kube, { labelSelector: "app=web" })).metadata.name, "p2");
});

Deno.test("waitForPod() waits for the one that replaces an evicted pod, where a controller makes it", async () => {
  const evicted = { ...running, phase: "Failed", reason: "Evicted", message: "low on memory" };
  const owned = (kind: string) => ({
    ownerReferences: [{ apiVersion: "v1", kind, name: "o", uid: "o", controller: true }],
  });
  const told: string[] = [];
  await using server = cluster([
    ["ADDED", pod("p1", evicted, owned("ReplicaSet"))],
    ["ADDED", pod("p2", waiting("ContainerCreating"), owned("ReplicaSet"))],
    ["MODIFIED", pod("p2", ready, owned("ReplicaSet"))],
  ]);
  await using kube = openKubeClient(server.config());
  const found = await waitForPod(kube, { labelSelector: "app=web", onObstacle: (words) => told.push(words) });
  assert.equal(found.metadata.name, "p2");
  assert.deepEqual(told, ["Evicted: low on memory"]);

  for (const metadata of [{}, owned("Job")]) {
    await using server = cluster([["ADDED", pod("p1", evicted, metadata)]]);
    await using kube = openKubeClient(server.config());
    await assert.rejects(waitForPod(kube, { labelSelector: "app=web" }), /it will not run: Evicted: low on memory/);
  }
});

Deno.test("waitForPod() looks at one container alone, where one is named", async () => {
  const sidecar = { name: "sidecar", state: { waiting: { reason: "CrashLoopBackOff", message: "x" } } };
  const status = { containerStatuses: [sidecar, { name: "c", state: { running: {} } }] };
  await using server = cluster([["ADDED", pod("p1", status)]]);
  await using kube = openKubeClient(server.config());
  const wait = { labelSelector: "app=web", until: "running" } as const;
  assert.equal((await waitForPod(kube, { ...wait, container: "c" })).metadata.name, "p1");
  await assert.rejects(waitForPod(kube, wait), /container "sidecar": CrashLoopBackOff: x/);
});

Deno.test("waitForPod() throws when the pod will not run, with what to look at", async () => {
  await using server = cluster([["ADDED", pod("p1", waiting("CrashLoopBackOff"))]]);
  await using kube = openKubeClient(server.config());
  await assert.rejects(waitForPod(kube, { labelSelector: "app=web" }), (error) => {
    assert.ok(error instanceof UserError);
    assert.equal(error.message, 'Cannot wait for pod "p1": it will not run: container "c": CrashLoopBackOff: x');
    assert.match(error.hints[0] ?? "", /kubectl describe pod p1/);
    return true;
  });
});

Deno.test("waitForPod() tells the warnings of its pod, and ends with the signal's reason", async () => {
  await using server = cluster(
    [["ADDED", pod("p1", waiting("ContainerCreating"))]],
    [warning("other", "FailedScheduling"), warning("p1", "FailedMount")],
  );
  await using kube = openKubeClient(server.config());
  const reason = new Error("enough");
  const controller = new AbortController();
  const told: string[] = [];
  const onObstacle = (words: string) => {
    told.push(words);
    controller.abort(reason);
  };
  await assert.rejects(waitForPod(kube, { labelSelector: "app=web", onObstacle, signal: controller.signal }), reason);
  assert.deepEqual(told, ["FailedMount: y"]);
});

Deno.test("waitForPod() tells why no pod is made, where it knows who makes it", async () => {
  const failed = (name: string, message: string) => ({
    ...warning(name, "FailedCreate"),
    involvedObject: { kind: "ReplicaSet", name, uid: name },
    message,
  });
  await using server = cluster([], [failed("webshop-1", "not ours"), failed("web-5d9", "exceeded quota: tight")]);
  await using kube = openKubeClient(server.config());
  const controller = new AbortController();
  const reason = new Error("enough");
  const told: string[] = [];
  const onObstacle = (words: string) => {
    told.push(words);
    controller.abort(reason);
  };
  const wait = { labelSelector: "app=web", madeBy: "web", onObstacle, signal: controller.signal };
  await assert.rejects(waitForPod(kube, wait), reason);
  assert.deepEqual(told, ["FailedCreate: exceeded quota: tight"]);
});
