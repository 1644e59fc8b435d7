import type { MethodName } from "@/capture/mod.ts";
import type { EnvironmentChanges, EnvironmentFiles } from "@/env/mod.ts";
import { UserError } from "@/util/mod.ts";
import type { VolumesWanted } from "@/volumes/mod.ts";
import { SESSION_LABEL } from "../labels.ts";
import type { Existing } from "../workload/existing.ts";
import type { Original, WorkloadName } from "../workload/original.ts";

/** What the user wants, exact and whole: the flags as far as a session is concerned. */
export interface Wanted {
  /** What the session does to the cluster. */
  readonly operation: Operation;
  readonly context?: string;
  readonly namespace?: string;
  /** Service account of the proxy's pod; the original's, or the namespace's default one, when absent. */
  readonly serviceAccount?: string;
  /** How the command is captured; chosen where absent. */
  readonly method?: MethodName;
  /** Ports of the pod, and the ports of the host where their connections arrive. */
  readonly expose: readonly ExposedPort[];
  /** Ports of the host's loopback that lead to the same port of the pod's loopback. */
  readonly toPod?: readonly number[];
  /** Ports of the pod's loopback that lead to the same port of the host's loopback. */
  readonly fromPod?: readonly number[];
  /** Whether the template's init containers run in the proxy's pod too. @default {true} */
  readonly initContainers?: boolean;
  /** How long the proxy goes on serving while the original comes back. @default {30 s} */
  readonly giveBackTimeoutMs?: number;
  /** Whether what killed sessions left is given back at the start, without a question. @default {false} */
  readonly recover?: boolean;
  /** A file for a line on each connection and look-up. */
  readonly record?: string;
  /** Whether a session that has the workload is ended, and the workload taken. @default {false} */
  readonly takeOver?: boolean;
  /** Whether the plan is printed and nothing is done. */
  readonly show?: "text" | "json";
  /** How long a lost connection is waited for, in seconds. @default {60} */
  readonly graceSeconds?: number;
  /** Ports of the command that are to be on the host's loopback, beside those that are exposed. */
  readonly publish?: readonly number[];
  /** Addresses, ranges (CIDR) and names whose connections stay on the host, beside the API server's. */
  readonly neverProxy?: readonly string[];
  /** Addresses, ranges (CIDR) and names whose connections go to the pod, where not all do. */
  readonly alsoProxy?: readonly string[];
  /** Whether the cluster is taken to ask this machine for names that it does not know. */
  readonly localCluster?: boolean;
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

/** What a session does to the cluster. */
export type Operation =
  /** Makes a new proxy, by a name of its own when none is given. */
  | { readonly kind: "new"; readonly name?: string }
  /** Puts a proxy in the place of a workload; of its first container when none is named. */
  | { readonly kind: "swap"; readonly workload: WorkloadName; readonly container?: string }
  /** Uses a Deployment that runs the agent already, and changes nothing in the cluster. */
  | { readonly kind: "existing"; readonly name: string };

/** A port of the pod whose connections arrive at a port of the host's loopback. */
export interface ExposedPort {
  readonly host: number;
  readonly pod: number;
  /** Whether only the pod's own containers can connect. @default {false} */
  readonly loopback?: boolean;
}

/** What will be done, as plain data: everything that has to be decided has been. */
export interface Plan {
  /** On every object that the session makes, as the label `telepresence`. */
  readonly sessionId: string;
  readonly namespace: string;
  /** The name of the proxy's Deployment, and of its Service where it has one of its own. */
  readonly name: string;
  readonly configMapName: string;
  /** The agent's container in the proxy's pod. */
  readonly container: string;
  /** By which the proxy's pods are found: `name=value`, with commas in between. */
  readonly podSelector: string;
  readonly expose: readonly ExposedPort[];
  readonly toPod: readonly number[];
  readonly fromPod: readonly number[];
  readonly initContainers: boolean;
  readonly giveBackTimeoutMs: number;
  readonly serviceAccount?: string;
  /** The workload whose place is taken; undefined where the proxy is new, or is there already. */
  readonly original?: Original;
  /** Whether the proxy is there already, and stays. */
  readonly isThere: boolean;
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
  /** The workload to swap, as it was read. */
  readonly original?: Original;
  /** The proxy that is there, as it was read. */
  readonly existing?: Existing;
}

/** The agent's container in a proxy of its own. */
export const NEW_CONTAINER = "telepresence";
const GIVE_BACK_TIMEOUT_MS = 30_000;
/** Behind a Deployment's name its pods' names have up to 17 characters; all of it is to be a label of RFC 1123. */
const MAX_NAME = 46;

/** Decides what the user left open: names, ports, the shell. */
export function makePlan(wanted: Wanted, { contextNamespace, image, original, existing }: PlanOptions): Plan {
  const sessionId = crypto.getRandomValues(new Uint8Array(16)).toHex();
  const short = sessionId.slice(0, 10);
  const expose = mergeAutomatic(wanted.expose, original?.ports ?? existing?.ports ?? []);
  const fromPod = wanted.fromPod ?? [];
  const toPod = wanted.toPod ?? [];
  requireOneWay(expose, toPod);
  return {
    sessionId,
    namespace: wanted.namespace ?? contextNamespace,
    name: nameOfProxy(wanted.operation, short),
    configMapName: `telepresence-${short}-agent`,
    container: original?.container ?? existing?.container ?? NEW_CONTAINER,
    podSelector: existing?.podSelector ?? `${SESSION_LABEL}=${sessionId}`,
    isThere: existing !== undefined,
    expose,
    toPod,
    fromPod,
    initContainers: wanted.initContainers ?? true,
    giveBackTimeoutMs: wanted.giveBackTimeoutMs ?? GIVE_BACK_TIMEOUT_MS,
    ...(wanted.serviceAccount !== undefined && { serviceAccount: wanted.serviceAccount }),
    ...(original !== undefined && { original }),
    agentPort: existing?.agentPort ??
      pickAgentPort([...expose.map(({ pod }) => pod), ...fromPod, ...(original?.allPorts ?? [])]),
    graceMs: (wanted.graceSeconds ?? 60) * 1000,
    image: existing?.image ?? image,
    command: wanted.run.kind === "shell" ? ["bash", "--norc"] : wanted.run.words,
    isShell: wanted.run.kind === "shell",
  };
}

/**
 * The ports that the container declares are exposed too, each on the same port of the host: but for those that were
 * given explicitly, on either side. `80:8080` with a declared port 80 stays `80:8080`.
 */
export function mergeAutomatic(explicit: readonly ExposedPort[], declared: readonly number[]): ExposedPort[] {
  const free = [...new Set(declared)].filter((port) =>
    !explicit.some(({ host, pod }) => host === port || pod === port)
  );
  return [...explicit, ...free.map((port) => ({ host: port, pod: port }))];
}

/** @throws {UserError} when what comes from the pod would be sent back to it, round and round */
function requireOneWay(expose: readonly ExposedPort[], toPod: readonly number[]): void {
  const both = expose.find(({ host }) => toPod.includes(host));
  if (both === undefined) return;
  throw new UserError(
    `Cannot forward port ${both.host} to the pod: the container's port ${both.pod} is exposed there`,
    {
      hints: [`Have it come to another port: --expose OTHER:${both.pod}`],
    },
  );
}

function nameOfProxy(operation: Operation, short: string): string {
  if (operation.kind === "existing") return operation.name;
  if (operation.kind === "new") return operation.name ?? `telepresence-${short}`;
  // A cut may leave a "." or "-" at the end, which no name may have in front of what follows.
  const stem = operation.workload.name.replaceAll(".", "-").slice(0, MAX_NAME - "-telepresence-".length - 6);
  return `${stem.replace(/-+$/, "")}-telepresence-${short.slice(0, 6)}`;
}

/**
 * A port of its own for each session, so that two agents that share a loopback (host network) do not meet; below the
 * kernel's range for outgoing connections, so that nothing in the pod has it by chance.
 */
function pickAgentPort(ports: readonly number[]): number {
  const taken = new Set(ports);
  const [random = 0] = crypto.getRandomValues(new Uint16Array(1));
  let port = 20_000 + random % 10_000;
  while (taken.has(port)) port++;
  return port;
}
