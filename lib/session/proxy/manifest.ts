/**
 * The objects that a session makes, as plain data: pure functions of the plan.
 *
 * @module
 */
import { SMALL_HEAP_VARIABLES } from "@/util/mod.ts";
import { SESSION_LABEL } from "../labels.ts";
import type { Plan } from "../plan/plan.ts";
import { lowPortsOf } from "../workload/low_ports.ts";
import type { Original } from "../workload/original.ts";
import { AGENT_MOUNT, AGENT_RESOURCES, type Identity, proxyTemplate, RESTRICTED } from "../workload/proxy_template.ts";

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
        spec: agentPodSpec({
          ...plan,
          ports: plan.expose.map(({ pod }) => pod),
          hasLowPorts: lowPortsOf(plan).length > 0,
          command: agentCommand(plan, publicKey),
        }),
      },
    },
  };
}

/** What the pod of an agent alone is made of. */
export interface AgentPod {
  readonly container: string;
  readonly image: string;
  readonly command: readonly string[];
  /** Ports of the pod that are exposed. */
  readonly ports: readonly number[];
  /** Whether the agent is to bind ports below 1024, of its loopback too. */
  readonly hasLowPorts: boolean;
  readonly serviceAccount?: string;
  /** The ConfigMap that has the agent; undefined where the image has it. */
  readonly configMapName?: string;
}

/** The pod of an agent alone: allowed by *restricted*, and no more than the agent needs. */
export function agentPodSpec(pod: AgentPod): Record<string, unknown> {
  const { container, image, command, ports, hasLowPorts, serviceAccount, configMapName } = pod;
  return {
    terminationGracePeriodSeconds: 5,
    ...(serviceAccount !== undefined && { serviceAccountName: serviceAccount }),
    securityContext: {
      runAsNonRoot: true,
      runAsUser: 1000,
      runAsGroup: 1000,
      seccompProfile: { type: "RuntimeDefault" },
      // A safe sysctl: low ports without a root image and without a capability; asked for only when needed.
      ...(hasLowPorts && {
        sysctls: [{ name: "net.ipv4.ip_unprivileged_port_start", value: "0" }],
      }),
    },
    containers: [{
      name: container,
      image,
      imagePullPolicy: "IfNotPresent",
      command: [...command],
      env: Object.entries(AGENT_VARIABLES).map(([name, value]) => ({ name, value })),
      ...(ports.length > 0 && {
        ports: ports.map((port) => ({ name: portName(port), containerPort: port, protocol: "TCP" })),
      }),
      resources: AGENT_RESOURCES,
      securityContext: RESTRICTED,
      terminationMessagePolicy: "FallbackToLogsOnError",
      volumeMounts: [
        ...(configMapName === undefined ? [] : [{ name: "agent", mountPath: AGENT_MOUNT, readOnly: true }]),
        { name: "tmp", mountPath: "/tmp" },
      ],
    }],
    volumes: [
      ...(configMapName === undefined ? [] : [{ name: "agent", configMap: { name: configMapName } }]),
      { name: "tmp", emptyDir: { sizeLimit: "64Mi" } },
    ],
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
export function agentCommand(
  { agentPort, graceMs }: { readonly agentPort: number; readonly graceMs?: number },
  publicKey: string,
): string[] {
  return [
    ...RUNTIME,
    "--allow-net",
    "--allow-env",
    "--allow-read", // also how the pod's names are resolved: /etc/resolv.conf, /etc/hosts
    "--allow-write",
    "--allow-sys=statfs,uid,gid",
    AGENT_FILE,
    "--port",
    String(agentPort),
    `--key=${publicKey}`, // one word: base64url may begin with a dash
    // Without it the agent goes on when no host is there.
    ...(graceMs === undefined ? [] : ["--grace", String(graceMs / 1000)]),
  ];
}

/**
 * How a process in the agent's container joins its standard input and output to the agent, for a carrier where
 * port-forwards are not allowed. It may connect to the agent and nothing else; its heap is kept small, because the
 * container's memory is the agent's.
 */
export function joinCommand({ agentPort }: Pick<Plan, "agentPort">): [string, ...string[]] {
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

/** What a port of the pod is called. */
export function portName(port: number): string {
  return `port-${port}`;
}
