/**
 * A pod of a test's own making in which the agent runs: what a pod of the user's looks like with an agent in it.
 *
 * @module
 */
import { configMaps, deployments, pods } from "@/kube/mod.ts";
import { type LinkedPod, openPod } from "@/pod/mod.ts";
import { greetAgent, makeSessionKey } from "@/transport/mod.ts";
import type { Cluster } from "./harness.ts";

/** What the pod is made of beside the agent. */
export interface AgentPod {
  readonly env?: readonly Record<string, unknown>[];
  readonly envFrom?: readonly Record<string, unknown>[];
  readonly mounts?: readonly ({ readonly name: string; readonly mountPath: string } & Record<string, unknown>)[];
  readonly volumes?: readonly Record<string, unknown>[];
}

const AGENT = new URL("../../build/agent.js", import.meta.url);
const PORT = 20_777;
/** As the session gives them to its own proxy. */
const COMMAND = [
  ...["deno", "run", "--no-prompt", "--no-config", "--no-lock", "--no-npm", "--no-remote"],
  ...["--allow-net", "--allow-env", "--allow-read", "--allow-write", "--allow-sys=statfs,uid,gid"],
  ...["/telepresence/agent.js", "--port", String(PORT)],
];

/** Runs `body` with a pod of these volumes and variables, connected to the agent in it. */
export async function withAgentPod(
  { kube }: Cluster,
  namespace: string,
  { env = [], envFrom = [], mounts = [], volumes = [] }: AgentPod,
  body: (pod: LinkedPod, name: string) => Promise<void>,
): Promise<void> {
  const { privateKey, publicKey } = await makeSessionKey();
  const labels = { app: "agent" };
  await kube.create(configMaps, {
    metadata: { name: "agent", namespace },
    data: { "agent.js": await Deno.readTextFile(AGENT) },
  });
  await kube.create(deployments, {
    metadata: { name: "agent", namespace },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels, annotations: { note: "told by the downward API" } },
        spec: {
          terminationGracePeriodSeconds: 1,
          securityContext: { runAsUser: 1000, runAsGroup: 1000, fsGroup: 2000, runAsNonRoot: true },
          containers: [{
            name: "agent",
            image: "denoland/deno:2.9.6",
            imagePullPolicy: "IfNotPresent",
            command: [...COMMAND, `--key=${publicKey}`],
            env: [{ name: "DENO_DIR", value: "/telepresence-work" }, ...env],
            envFrom,
            securityContext: {
              allowPrivilegeEscalation: false,
              readOnlyRootFilesystem: true,
              capabilities: { drop: ["ALL"] },
            },
            volumeMounts: [
              { name: "agent", mountPath: "/telepresence", readOnly: true },
              { name: "work", mountPath: "/telepresence-work" },
              ...mounts,
            ],
          }],
          volumes: [{ name: "agent", configMap: { name: "agent" } }, { name: "work", emptyDir: {} }, ...volumes],
        },
      },
    },
  });
  const name = await runningPod();
  await using pod = await connect();
  await body(pod, name);

  async function runningPod(): Promise<string> {
    const end = performance.now() + 60_000;
    while (performance.now() < end) {
      const { items } = await kube.list(pods, { namespace, labelSelector: "app=agent" });
      const running = items.find(({ status }) => status.containerStatuses[0]?.state.running !== undefined);
      if (running !== undefined) return running.metadata.name;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error("The test's pod did not run within a minute");
  }

  async function connect(): Promise<LinkedPod> {
    for (let attempt = 1;; attempt++) {
      try {
        const carrier = await kube.portForward({ namespace, name }, PORT);
        await greetAgent(carrier, privateKey, { version: "0.1.0" });
        return openPod(carrier);
      } catch (error) {
        if (attempt > 100) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }
}
