/**
 * The objects that a session makes, as plain data: pure functions of the plan.
 *
 * @module
 */
import { SMALL_HEAP_VARIABLES } from "@/util/mod.ts";
import type { Plan } from "./plan.ts";
import type { Original } from "./workload/original.ts";
import { AGENT_MOUNT, AGENT_RESOURCES, type Identity, proxyTemplate, RESTRICTED } from "./workload/proxy_template.ts";

/** The label that is on everything a session makes; its value is the session's id. */
export const SESSION_LABEL = "telepresence";
/**
 * Variables of the agent's own runtime: its cache goes where it can be written, as the root file system is read-only, and
 * memory goes back when it is not used.
 */
export const AGENT_VARIABLES: Readonly<Record<string, string>> = {
  DENO_DIR: "/tmp/deno",
  DENO_NO_UPDATE_CHECK: "1",
  ...SMALL_HEAP_VARIABLES,
};

/** A new object of the API, as it is sent. */
export interface Manifest {
  readonly metadata: { readonly name: string; readonly namespace: string; readonly [field: string]: unknown };
  readonly [field: string]: unknown;
}

function metadata(plan: Plan, name: string) {
  const labels = { [SESSION_LABEL]: plan.sessionId, "app.kubernetes.io/managed-by": "telepresence" };
  return { name, namespace: plan.namespace, labels };
}

/** The agent's program, for a stock image of its runtime to run. */
export function agentConfigMap(plan: Plan, agentSource: string): Manifest {
  return { metadata: metadata(plan, plan.configMapName), data: { "agent.js": agentSource } };
}

/**
 * The proxy: one pod with the agent, allowed by the Pod Security Standard *restricted*
 * ({@link https://kubernetes.io/docs/concepts/security/pod-security-standards/}).
 */
export function proxyDeployment(plan: Plan, publicKey: string): Manifest {
  const labels = { [SESSION_LABEL]: plan.sessionId };
  return {
    metadata: metadata(plan, plan.name),
    spec: {
      replicas: 1,
      strategy: { type: "Recreate" },
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          terminationGracePeriodSeconds: 5,
          ...(plan.serviceAccount !== undefined && { serviceAccountName: plan.serviceAccount }),
          securityContext: {
            runAsNonRoot: true,
            runAsUser: 1000,
            runAsGroup: 1000,
            seccompProfile: { type: "RuntimeDefault" },
            // A safe sysctl: low ports without a root image and without a capability; asked for only when needed.
            ...(plan.expose.some(({ pod }) => pod < 1024) &&
              { sysctls: [{ name: "net.ipv4.ip_unprivileged_port_start", value: "0" }] }),
          },
          containers: [{
            name: plan.container,
            image: plan.image,
            imagePullPolicy: "IfNotPresent",
            command: agentCommand(plan, publicKey),
            env: Object.entries(AGENT_VARIABLES).map(([name, value]) => ({ name, value })),
            ...(plan.expose.length > 0 && {
              ports: plan.expose.map(({ pod }) => ({ name: portName(pod), containerPort: pod, protocol: "TCP" })),
            }),
            resources: AGENT_RESOURCES,
            securityContext: RESTRICTED,
            terminationMessagePolicy: "FallbackToLogsOnError",
            volumeMounts: [
              { name: "agent", mountPath: AGENT_MOUNT, readOnly: true },
              { name: "tmp", mountPath: "/tmp" },
            ],
          }],
          volumes: [
            { name: "agent", configMap: { name: plan.configMapName } },
            { name: "tmp", emptyDir: { sizeLimit: "64Mi" } },
          ],
        },
      },
    },
  };
}

/** The proxy in a workload's place: a Deployment of its own, with a selector of its own. */
export function swappedDeployment(plan: Plan, original: Original, publicKey: string, identity: Identity): Manifest {
  const labels = { [SESSION_LABEL]: plan.sessionId };
  return {
    metadata: metadata(plan, plan.name),
    spec: {
      replicas: 1,
      strategy: { type: "Recreate" },
      selector: { matchLabels: labels },
      template: proxyTemplate(plan, original, { identity, labels, command: agentCommand(plan, publicKey) }),
    },
  };
}

/** The agent's runtime, kept from all that it could look for elsewhere. */
const RUNTIME = ["deno", "run", "--no-prompt", "--no-config", "--no-lock", "--no-npm", "--no-remote"] as const;
const AGENT_FILE = `${AGENT_MOUNT}/agent.js`;

/**
 * How the agent is started, with no more permissions than it needs: the network, the environment to tell it, and the
 * files of the volumes; it starts no program and loads no library.
 *
 * Files are not narrowed to the mount points here: the runtime makes no symlink under a permission that is narrowed to
 * paths (it says so), and follows one that leads out of it all the same. The agent itself keeps to the volumes
 * (lib/agent/file_tree.ts), and the kernel to what the container's user may do on a root that is read-only.
 */
function agentCommand(plan: Plan, publicKey: string): string[] {
  return [
    ...RUNTIME,
    "--allow-net",
    "--allow-env",
    "--allow-read", // also how the pod's names are resolved: /etc/resolv.conf, /etc/hosts
    "--allow-write",
    "--allow-sys=statfs,uid,gid",
    AGENT_FILE,
    "--port",
    String(plan.agentPort),
    `--key=${publicKey}`, // one word: base64url may begin with a dash
    "--grace",
    String(plan.graceMs / 1000),
  ];
}

/**
 * How a process in the agent's container joins its standard input and output to the agent, for a carrier where
 * port-forwards are not allowed. It may connect to the agent and nothing else; its heap is kept small, because the
 * container's memory is the agent's.
 */
export function joinCommand({ agentPort }: Plan): [string, ...string[]] {
  const allowed = `--allow-net=127.0.0.1:${agentPort}`;
  return [
    ...RUNTIME,
    "--v8-flags=--max-old-space-size=24",
    allowed,
    AGENT_FILE,
    "--stdio",
    "--port",
    String(agentPort),
  ];
}

/** The Service by which the rest of the cluster finds the exposed ports, under the Deployment's name. */
export function exposedService(plan: Plan): Manifest {
  return {
    metadata: metadata(plan, plan.name),
    spec: {
      type: "ClusterIP",
      selector: { [SESSION_LABEL]: plan.sessionId },
      ports: plan.expose.map(({ pod }) => ({ name: portName(pod), port: pod, targetPort: pod, protocol: "TCP" })),
    },
  };
}

function portName(port: number): string {
  return `port-${port}`;
}
