import assert from "node:assert/strict";
import { pods } from "./objects.ts";
import { lastEnd, type PodState, podState } from "./pod_state.ts";

const condition = (type: string, status: string, reason = "", message = "") => ({ type, status, reason, message });
const container = (state: unknown, lastState: unknown = {}) => ({
  name: "c",
  ready: false,
  restartCount: 0,
  state,
  lastState,
});
const waiting = (reason: string, message = "") => container({ waiting: { reason, message } });
const running = container({ running: {} });

const STATES: { name: string; status: unknown; only?: string; want: PodState }[] = [
  { name: "nothing known yet", status: undefined, want: { kind: "waiting", why: "" } },
  {
    name: "no node takes it",
    status: { conditions: [condition("PodScheduled", "False", "Unschedulable", "0/3 nodes")] },
    want: { kind: "waiting", why: "Unschedulable: 0/3 nodes" },
  },
  {
    name: "being made",
    status: { containerStatuses: [waiting("ContainerCreating")] },
    want: { kind: "waiting", why: "" },
  },
  {
    name: "a first failed pull may pass",
    status: { containerStatuses: [waiting("ErrImagePull", "timeout")] },
    want: { kind: "waiting", why: 'container "c": ErrImagePull: timeout' },
  },
  {
    name: "an image that cannot be had",
    status: { phase: "Pending", containerStatuses: [running, waiting("ImagePullBackOff", "back-off")] },
    want: {
      kind: "failed",
      trouble: "image",
      reason: "ImagePullBackOff",
      why: 'container "c": ImagePullBackOff: back-off',
    },
  },
  {
    name: "an init container that crashes",
    status: {
      initContainerStatuses: [
        container({ waiting: { reason: "CrashLoopBackOff" } }, { terminated: { exitCode: 137, reason: "OOMKilled" } }),
      ],
      containerStatuses: [waiting("PodInitializing")],
    },
    want: {
      kind: "failed",
      trouble: "crash",
      reason: "CrashLoopBackOff",
      why: 'container "c": CrashLoopBackOff; it ended with exit code 137 (OOMKilled)',
    },
  },
  {
    name: "evicted",
    status: { phase: "Failed", reason: "Evicted", message: "low on memory" },
    want: { kind: "failed", trouble: "over", reason: "Evicted", why: "Evicted: low on memory" },
  },
  {
    name: "ended",
    status: {
      phase: "Succeeded",
      containerStatuses: [container({ terminated: { exitCode: 0, reason: "Completed" } })],
    },
    want: {
      kind: "failed",
      trouble: "over",
      reason: "Succeeded",
      why: 'container "c" ended with exit code 0 (Completed)',
    },
  },
  {
    name: "running and not ready",
    status: { conditions: [condition("Ready", "False", "ContainersNotReady", "c")], containerStatuses: [running] },
    want: { kind: "running", why: "ContainersNotReady: c" },
  },
  {
    name: "ready",
    status: { conditions: [condition("Ready", "True")], containerStatuses: [running] },
    want: { kind: "ready" },
  },
  {
    name: "about one container, whatever another does",
    only: "c",
    status: { containerStatuses: [{ ...waiting("ImagePullBackOff"), name: "sidecar" }, running] },
    want: { kind: "running", why: "" },
  },
  {
    name: "about one container that is ready",
    only: "c",
    status: { conditions: [condition("Ready", "False")], containerStatuses: [{ ...running, ready: true }] },
    want: { kind: "ready" },
  },
  {
    name: "about one container that is not there yet",
    only: "other",
    status: { containerStatuses: [running] },
    want: { kind: "waiting", why: "" },
  },
  {
    name: "about one container, which is not named then",
    only: "c",
    status: { containerStatuses: [waiting("CreateContainerConfigError", "no user")] },
    want: {
      kind: "failed",
      trouble: "configuration",
      reason: "CreateContainerConfigError",
      why: "CreateContainerConfigError: no user",
    },
  },
  {
    name: "about one container that waits for another to end",
    only: "c",
    status: {
      initContainerStatuses: [{ ...waiting("ErrImagePull", "timeout"), name: "first" }],
      containerStatuses: [waiting("PodInitializing")],
    },
    want: { kind: "waiting", why: 'container "first": ErrImagePull: timeout' },
  },
];

const podWith = (status: unknown) =>
  pods.parse({ metadata: { name: "p" }, spec: { containers: [] }, ...(status !== undefined && { status }) });

Deno.test("podState() judges a pod that is", async (t) => {
  for (const { name, status, only, want } of STATES) {
    await t.step(name, () => assert.deepEqual(podState(podWith(status), only), want));
  }
});

Deno.test("lastEnd() tells how the last run of a container ended", () => {
  const ended = (exitCode: number) => ({ terminated: { exitCode, reason: "Error" } });
  const exitOf = (status: unknown) => lastEnd(podWith({ containerStatuses: [status] }), "c")?.exitCode;
  assert.equal(exitOf(running), undefined);
  assert.equal(exitOf(container({ running: {} }, ended(3))), 3);
  assert.equal(exitOf(container(ended(4), ended(3))), 4);
  assert.equal(exitOf({ ...container(ended(4)), name: "sidecar" }), undefined);
});
