import { deepStrictEqual as equals } from "node:assert/strict";
import { originalWith } from "./_test_original.ts";
import { type Facts, whyOriginalFirst } from "./first.ts";
import type { Original } from "./original.ts";

const anti = (labelSelector: unknown) => ({
  affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ labelSelector }] } },
});
const hostPort = { containers: [{ name: "app", ports: [{ containerPort: 80, hostPort: 8080 }] }] };

/** Each row of the table of obstacles, and its neighbors that are none. */
const CASES: readonly {
  name: string;
  own?: Partial<Original>;
  spec?: Record<string, unknown>;
  facts?: Partial<Facts>;
  want: string | undefined;
}[] = [
  { name: "a Deployment", want: undefined },
  { name: "a ReplicaSet", own: { kind: "replicaset" }, want: undefined },
  { name: "a StatefulSet", own: { kind: "statefulset" }, want: "its pods have names and volumes of their own" },
  { name: "a DaemonSet", own: { kind: "daemonset" }, want: "a DaemonSet's pod has its node for itself" },
  { name: "a bare Pod", own: { kind: "pod" }, want: "a bare Pod cannot be scaled" },
  { name: "the node's network", spec: { hostNetwork: true }, want: "its pod uses the node's network" },
  { name: "a port of the node", spec: hostPort, want: "its pod has port 8080 of the node" },
  {
    name: "a volume for one node",
    facts: { accessModes: { data: ["ReadWriteOnce"] } },
    want: 'its volume "data" can be used on one node at a time',
  },
  {
    name: "a volume for one pod",
    facts: { accessModes: { data: ["ReadWriteOncePod"] } },
    want: 'its volume "data" can be used on one node at a time',
  },
  { name: "a shared volume", facts: { accessModes: { data: ["ReadWriteMany"] } }, want: undefined },
  { name: "a volume that we may not see", facts: { accessModes: {} }, want: undefined },
  {
    name: "pods that avoid each other",
    spec: anti({ matchLabels: { app: "web" } }),
    want: "its pods may not be on a node with each other",
  },
  {
    name: "pods that avoid each other by an expression",
    spec: anti({ matchExpressions: [{ key: "app", operator: "In", values: ["web", "api"] }] }),
    want: "its pods may not be on a node with each other",
  },
  { name: "pods that avoid others", spec: anti({ matchLabels: { app: "db" } }), want: undefined },
  {
    name: "pods that avoid others by an expression",
    spec: anti({ matchExpressions: [{ key: "app", operator: "NotIn", values: ["web"] }] }),
    want: undefined,
  },
  {
    name: "a quota without room",
    facts: { overQuota: "tight, requested: pods=1" },
    want: "the namespace's quota has no room for both (tight, requested: pods=1)",
  },
];

Deno.test("whyOriginalFirst() tells where both cannot be there", async (t) => {
  for (const { name, own, spec, facts, want } of CASES) {
    await t.step(name, () => equals(whyOriginalFirst(originalWith(own, spec), { accessModes: {}, ...facts }), want));
  }
});
