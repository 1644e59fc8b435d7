import { deepStrictEqual as equals } from "node:assert/strict";
import { type Pod, pods } from "@/kube/mod.ts";
import type { AgentRun } from "./pod_loss.ts";
import { judgeProxy } from "../proxy/proxy_state.ts";
import { asSuccessor } from "./successor.ts";

const PAST: AgentRun = { namespace: "shop", pod: "web-1", container: "agent", uid: "u1", containerId: "c1" };

function podWith(uid: string, container: Record<string, unknown>, status: Record<string, unknown> = {}): Pod {
  return pods.parse({
    metadata: { name: "web-1", namespace: "shop", uid },
    spec: { containers: [{ name: "agent" }] },
    status: { phase: "Running", containerStatuses: [{ name: "agent", ...container }], ...status },
  });
}

const RUNNING = { state: { running: { startedAt: "2026-01-01T00:00:00Z" } } };
const ENDED = { terminated: { exitCode: 137, reason: "OOMKilled" } };

Deno.test("asSuccessor() tells what comes after a run of the agent from that run", async (t) => {
  const cases: Record<string, { pod: Pod; want: string | undefined }> = {
    "another pod": { pod: podWith("u2", { containerID: "c2", ...RUNNING }), want: "running" },
    "the same run, which does not know it yet": {
      pod: podWith("u1", { containerID: "c1", ...RUNNING }),
      want: undefined,
    },
    "the same container, ended": { pod: podWith("u1", { containerID: "c1", state: ENDED }), want: undefined },
    "the same pod, started again": {
      pod: podWith("u1", { containerID: "c2", ...RUNNING, lastState: ENDED }),
      want: "running",
    },
    "the same pod, about to be started again": {
      pod: podWith("u1", { containerID: "c1", state: { waiting: { reason: "ContainerCreating" } }, lastState: ENDED }),
      want: undefined,
    },
    "the same pod, given up": {
      pod: podWith("u1", { containerID: "c1", state: { waiting: { reason: "CrashLoopBackOff" } }, lastState: ENDED }),
      want: "failed",
    },
    "the same pod, evicted: another will come": {
      pod: podWith("u1", { containerID: "c1", state: ENDED }, { phase: "Failed", reason: "Evicted" }),
      want: undefined,
    },
  };
  for (const [name, { pod, want }] of Object.entries(cases)) {
    await t.step(name, () => {
      const found = asSuccessor(pod, PAST);
      equals(found && judgeProxy(undefined, found, "agent").kind, want);
    });
  }
});
