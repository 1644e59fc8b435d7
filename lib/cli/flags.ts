/**
 * What the command line of a session asks for, as exact values. The words for it are the table of `flag_table.ts`, and
 * `read_flags.ts` makes the one of the other.
 *
 * @module
 */
import type { WorkloadName } from "@/session/mod.ts";

/** What was asked for, exact: nothing below this room looks at a word of the command line again. */
export interface Flags {
  /** How the command's connections are captured; the best that is possible when absent. */
  readonly method?: Method;
  /** What the session does to the cluster. */
  readonly operation: Operation;
  /** The kubeconfig's context; the current one when absent. */
  readonly context?: string;
  /** The namespace; the context's own when absent. */
  readonly namespace?: string;
  /** The service account of the proxy's pod; the original's, or the namespace's default one, when absent. */
  readonly serviceAccount?: string;
  /** Ports that the pod forwards to the host; no port is there twice on either side. */
  readonly expose: readonly Exposed[];
  /** Ports of this machine's loopback that lead to the same port of the pod's. */
  readonly toPod: readonly number[];
  /** Ports of the pod's loopback that lead to the same port of this machine's. */
  readonly fromPod: readonly number[];
  /** Whether the init containers of a swapped workload run in the proxy's pod too. */
  readonly initContainers: boolean;
  /** How long the proxy goes on serving while the original comes back, where it is not as usual. */
  readonly giveBackTimeoutMs?: number;
  /** Whether what killed sessions left is given back without a question. */
  readonly recover: boolean;
  /** A file for a line on each connection and look-up. */
  readonly record?: string;
  /** Whether a session that has the workload is ended. */
  readonly takeOver: boolean;
  /** How the plan is shown, instead of acting. */
  readonly show?: "text" | "json";
  /** Ports of the command that are to be on the host's loopback, beside the exposed ones. */
  readonly publish: readonly number[];
  /** Addresses, ranges (CIDR) and names whose connections stay on the host. */
  readonly neverProxy: readonly string[];
  /** Addresses, ranges (CIDR) and names whose connections go to the pod, where not all do. */
  readonly alsoProxy: readonly string[];
  /** Whether the cluster is taken to ask this machine for names that it does not know. */
  readonly localCluster: boolean;
  /** How many seconds a lost connection to the pod is waited for; a minute when absent. */
  readonly graceSeconds?: number;
  /** What runs on the host. */
  readonly run: Run;
  /** Where the log goes; `-` is the standard output; `telepresence.log` when absent. */
  readonly logfile?: string;
  /** Whether the log tells everything. */
  readonly verbose: boolean;
  /** Whether the user hears only what went wrong or has to be known. */
  readonly quiet: boolean;
  /** What the command's environment has otherwise than the pod's. */
  readonly environment: EnvironmentWanted;
  /** Files that the pod's environment is written to. */
  readonly environmentFiles: { readonly json?: string; readonly file?: string };
  /** Where the pod's volumes are to be on this machine. */
  readonly volumes: { readonly at: MountPlace; readonly mode: MountMode };
}

/** How the pod's volumes come to this machine. */
export type MountMode = typeof MOUNT_MODES[number];
/** All of them. */
export const MOUNT_MODES = ["auto", "live", "copy"] as const;

/** A place on this machine for the pod's volumes. */
export type MountPlace = { readonly kind: "nowhere" } | { readonly kind: "temporary" } | {
  readonly kind: "path";
  readonly path: string;
};

/** What the command's environment has otherwise than the pod's. */
export interface EnvironmentWanted {
  /** Variables that are set, whatever the pod says. */
  readonly set: Readonly<Record<string, string>>;
  /** Patterns of names that it must not have. */
  readonly unset: readonly string[];
}

/** Ways to capture a command's connections. */
export type Method = "inject-tcp" | "namespace" | "vpn-tcp";

/** What a session does to the cluster. */
export type Operation =
  /** It makes a new proxy, by a name of its own when none is given. */
  | { readonly kind: "new"; readonly name?: string }
  /** It puts a proxy in the place of a workload; of its first container when none is named. */
  | { readonly kind: "swap"; readonly workload: WorkloadName; readonly container?: string }
  /** It uses a Deployment that runs the agent already. */
  | { readonly kind: "existing"; readonly name: string };

/** A port of the pod, and the port of the host where its connections arrive. */
export interface Exposed {
  /** Port on the host's loopback. */
  readonly host: number;
  /** Port in the pod. */
  readonly pod: number;
}

/** What runs on the host: a command with its words as they were given, or an interactive shell. */
export type Run = { readonly kind: "command"; readonly words: readonly [string, ...string[]] } | {
  readonly kind: "shell";
};
