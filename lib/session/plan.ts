import type { EnvironmentChanges, EnvironmentFiles } from "@/env/mod.ts";
import type { VolumesWanted } from "@/volumes/mod.ts";

/** What the user wants, exact and whole: the flags as far as a session is concerned. */
export interface Wanted {
  /** What the session does to the cluster. */
  readonly operation: { readonly kind: "new"; readonly name?: string };
  readonly context?: string;
  readonly namespace?: string;
  /** Ports of the pod, and the ports of the host where their connections arrive. */
  readonly expose: readonly ExposedPort[];
  /** How long a lost connection is waited for, in seconds. @default {60} */
  readonly graceSeconds?: number;
  readonly run: { readonly kind: "command"; readonly words: readonly [string, ...string[]] } | {
    readonly kind: "shell";
  };
  /** What the command's environment has otherwise than the pod's. */
  readonly environment: EnvironmentChanges;
  /** Files that the pod's environment is written to. */
  readonly environmentFiles: EnvironmentFiles;
  /** Where the pod's volumes are to be on the host. */
  readonly volumes: VolumesWanted;
}

/** A port of the pod whose connections arrive at a port of the host's loopback. */
export interface ExposedPort {
  readonly host: number;
  readonly pod: number;
}

/** What will be done, as plain data: everything that has to be decided has been. */
export interface Plan {
  /** On every object that the session makes, as the label `telepresence`. */
  readonly sessionId: string;
  readonly namespace: string;
  /** The name of the proxy's Deployment, and of its Service. */
  readonly name: string;
  readonly configMapName: string;
  readonly expose: readonly ExposedPort[];
  /** The port of the pod's loopback where the agent waits. */
  readonly agentPort: number;
  /** How long both ends wait for each other when the connection is lost. */
  readonly graceMs: number;
  readonly image: string;
  readonly command: readonly [string, ...string[]];
  /** Whether `command` is the shell that nobody asked to replace. */
  readonly isShell: boolean;
}

/** What a plan is made with, beside what is wanted. */
export interface PlanOptions {
  /** The namespace where none is wanted. */
  readonly contextNamespace: string;
  /** The agent's image. */
  readonly image: string;
}

/** Decides what the user left open: names, the agent's port, the shell. */
export function makePlan(wanted: Wanted, { contextNamespace, image }: PlanOptions): Plan {
  const sessionId = crypto.getRandomValues(new Uint8Array(16)).toHex();
  const short = sessionId.slice(0, 10);
  const name = wanted.operation.name ?? `telepresence-${short}`;
  return {
    sessionId,
    namespace: wanted.namespace ?? contextNamespace,
    name,
    configMapName: `telepresence-${short}-agent`,
    expose: wanted.expose,
    agentPort: pickAgentPort(wanted.expose),
    graceMs: (wanted.graceSeconds ?? 60) * 1000,
    image,
    command: wanted.run.kind === "shell" ? ["bash", "--norc"] : wanted.run.words,
    isShell: wanted.run.kind === "shell",
  };
}

/**
 * A port of its own for each session, so that two agents that share a loopback (host network) do not meet; below the
 * kernel's range for outgoing connections, so that nothing in the pod has it by chance.
 */
function pickAgentPort(expose: readonly ExposedPort[]): number {
  const taken = new Set(expose.map(({ pod }) => pod));
  const [random = 0] = crypto.getRandomValues(new Uint16Array(1));
  let port = 20_000 + random % 10_000;
  while (taken.has(port)) port++;
  return port;
}
