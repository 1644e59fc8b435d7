import { deepStrictEqual as equals } from "node:assert/strict";
import { deployments, pods } from "@/kube/mod.ts";
import { judgeProxy, type ProxyState } from "./proxy_state.ts";

const podWith = (status: unknown) => pods.parse({ metadata: { name: "p" }, spec: { containers: [] }, status });
const container = (state: unknown, lastState = {}) =>
  podWith({ containerStatuses: [{ name: "telepresence", state, lastState }] });
const deploymentWith = (message: string) =>
  deployments.parse({
    metadata: { name: "d" },
    spec: { selector: {}, template: { spec: { containers: [] } } },
    status: { conditions: [{ type: "ReplicaFailure", status: "True", reason: "FailedCreate", message }] },
  });

/** What the API tells, and how it is judged: the table behind every word about a proxy that does not start. */
const CASES: {
  name: string;
  deployment?: ReturnType<typeof deploymentWith>;
  pod?: ReturnType<typeof podWith>;
  want: ProxyState;
}[] = [
  { name: "nothing yet", want: { kind: "waiting" } },
  {
    name: "a quota without room",
    deployment: deploymentWith('pods "x" is forbidden: exceeded quota: tight, requested: pods=1'),
    want: { kind: "failed", cause: "quota", why: 'pods "x" is forbidden: exceeded quota: tight, requested: pods=1' },
  },
  {
    name: "a namespace so new that its service account is still to come",
    deployment: deploymentWith('pods "x" is forbidden: error looking up service account new/default: not found'),
    want: {
      kind: "waiting",
      why: 'pods "x" is forbidden: error looking up service account new/default: not found',
    },
  },
  {
    name: "an admission that is refused",
    deployment: deploymentWith('pods "x" is forbidden: violates PodSecurity "restricted:latest"'),
    want: {
      kind: "failed",
      cause: "admission",
      why: 'pods "x" is forbidden: violates PodSecurity "restricted:latest"',
    },
  },
  {
    name: "a pod after a refused one: the refusal is history",
    deployment: deploymentWith("exceeded quota"),
    pod: container({ running: {} }),
    want: { kind: "running", pod: "p" },
  },
  {
    name: "no node",
    pod: podWith({
      conditions: [{ type: "PodScheduled", status: "False", reason: "Unschedulable", message: "0/1 nodes" }],
    }),
    want: { kind: "waiting", why: "Unschedulable: 0/1 nodes" },
  },
  { name: "being made", pod: container({ waiting: { reason: "ContainerCreating" } }), want: { kind: "waiting" } },
  {
    name: "a first failure to pull, which may pass",
    pod: container({ waiting: { reason: "ErrImagePull", message: "timeout" } }),
    want: { kind: "waiting", why: "ErrImagePull: timeout" },
  },
  {
    name: "an image that cannot be pulled",
    pod: container({ waiting: { reason: "ImagePullBackOff", message: "Back-off pulling image" } }),
    want: { kind: "failed", cause: "image", why: "ImagePullBackOff: Back-off pulling image", pod: "p" },
  },
  {
    name: "a container that cannot be made",
    pod: container({ waiting: { reason: "CreateContainerConfigError", message: "no user" } }),
    want: { kind: "failed", cause: "configuration", why: "CreateContainerConfigError: no user", pod: "p" },
  },
  {
    name: "an agent that ended",
    pod: container({ terminated: { exitCode: 1, reason: "Error" } }),
    want: { kind: "failed", cause: "crash", why: "the agent ended with exit code 1 (Error)", pod: "p" },
  },
  {
    name: "an agent that ended and was started again",
    pod: container({ running: {} }, { terminated: { exitCode: 137, reason: "OOMKilled" } }),
    want: { kind: "failed", cause: "crash", why: "the agent ended with exit code 137 (OOMKilled)", pod: "p" },
  },
  {
    name: "an evicted pod",
    pod: podWith({ phase: "Failed", reason: "Evicted", message: "The node was low on memory" }),
    want: { kind: "failed", cause: "evicted", why: "Evicted: The node was low on memory", pod: "p" },
  },
  { name: "a container that runs", pod: container({ running: {} }), want: { kind: "running", pod: "p" } },
];

Deno.test("judgeProxy() says in the API's own words how far the proxy is", async (t) => {
  for (const { name, deployment, pod, want } of CASES) {
    await t.step(name, () => equals(judgeProxy(deployment, pod), want));
  }
});
