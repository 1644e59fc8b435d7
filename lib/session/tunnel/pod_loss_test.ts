import { deepStrictEqual as equals } from "node:assert/strict";
import { type Pod, pods } from "@/kube/mod.ts";
import { NEW_CONTAINER } from "../plan/plan.ts";
import { describeLoss } from "./pod_loss.ts";

const RUN = {
  namespace: "default",
  pod: "proxy-1",
  container: NEW_CONTAINER,
  uid: "u1",
  containerId: "containerd://a",
};

/** The pod of the run, with what a case changes. */
function podWith(metadata: object, status: object, container: object = {}): Pod {
  const containerStatuses = [{
    name: NEW_CONTAINER,
    containerID: "containerd://a",
    state: { running: {} },
    ...container,
  }];
  return pods.parse({
    metadata: { name: "proxy-1", uid: "u1", ...metadata },
    spec: { containers: [] },
    status: { phase: "Running", containerStatuses, ...status },
  });
}

Deno.test("describeLoss() says what happened to the pod, or that nothing did", async (t) => {
  const cases: { name: string; pod: Pod; want: string | undefined }[] = [
    { name: "it runs", pod: podWith({}, {}), want: undefined },
    {
      name: "another of the same name",
      pod: podWith({ uid: "u2" }, {}),
      want: 'The proxy\'s pod "proxy-1" was replaced by another of the same name',
    },
    {
      name: "deletion",
      pod: podWith({ deletionTimestamp: "2026-01-01T00:00:00Z" }, {}),
      want: 'The proxy\'s pod "proxy-1" is being deleted',
    },
    {
      name: "eviction",
      pod: podWith({}, { phase: "Failed", reason: "Evicted", message: "The node was low on memory" }),
      want: 'The proxy\'s pod "proxy-1" was taken away: Evicted: The node was low on memory',
    },
    {
      name: "killed for its memory, not restarted yet",
      pod: podWith({}, {}, { state: { terminated: { exitCode: 137, reason: "OOMKilled" } } }),
      want: 'The agent in pod "proxy-1" ended with exit code 137 (OOMKilled)',
    },
    {
      name: "killed and restarted",
      pod: podWith({}, {}, {
        containerID: "containerd://b",
        lastState: { terminated: { exitCode: 143, reason: "Error" } },
      }),
      want: 'The agent in pod "proxy-1" ended with exit code 143',
    },
    {
      name: "restarted, and nothing known of the end",
      pod: podWith({}, {}, { containerID: "containerd://b" }),
      want: 'The agent in pod "proxy-1" was restarted',
    },
    {
      name: "an end before our run",
      pod: podWith({}, {}, { lastState: { terminated: { exitCode: 1 } } }),
      want: undefined,
    },
  ];
  for (const { name, pod, want } of cases) await t.step(name, () => equals(describeLoss(pod, RUN), want));
});
