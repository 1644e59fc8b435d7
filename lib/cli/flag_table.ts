/**
 * The command line as one table. A row drives parsing, the usage line, the help, and what a flag that is not built yet
 * is refused with; completions and the man page are printed from it. What a value may be is in `flag_values.ts`.
 *
 * Why a table of our own and not a package: none meets the words. Measured with Deno 2.9.6 on one grammar, the bundle
 * minified, `--version` run from it (an empty program takes 20 ms); none of the bundles holds `createRequire`:
 *
 * | | bundle | start | `-nNAME` | `--run CMD ARGS...` | exclusion | repeated `-n` | its own words and exit code |
 * | --- | --- | --- | --- | --- | --- | --- | --- |
 * | `parseArgs` of node:util | 0.4 kB | 28 ms | yes | tokens tell where it begins | in the table | last wins | none |
 * | @stricli/core 1.3.0 | 31 kB | 43 ms | reads as `-n -N -A` | no | no | refused | fixed, 252 |
 * | @optique/core, run 1.3.6 | 350 kB | 65 ms | refused | no | yes | refused | its own sentences, 2 |
 *
 * So `parseArgs` cuts the words into tokens, and the meaning is here.
 *
 * @module
 */
import {
  checkPort,
  isFalse,
  isHostOrRange,
  isLabel,
  isMethod,
  isPort,
  isTrue,
  LABEL_RULE,
  readExposed,
  readSwap,
} from "./flag_values.ts";
import { MOUNT_MODES } from "./flags.ts";

/** One flag: its grammar, its words, and whether it is built. */
export interface Flag {
  /** The long form. */
  readonly long: `--${string}`;
  /** The short form. */
  readonly short?: `-${string}`;
  /** Name of its value, as usage and help show it; a flag without one is a switch. */
  readonly value?: string;
  /** Whether everything behind it belongs to it, whatever it looks like. @default {false} */
  readonly rest?: boolean;
  /** Whether each time it is given counts; otherwise the last one does. @default {false} */
  readonly repeats?: boolean;
  /** The only values it takes. */
  readonly choices?: readonly string[];
  /** Flags of one group exclude each other. */
  readonly group?: "operation" | "run" | "mount";
  /** What it does, for the help. */
  readonly help: string;
  /** Refuses a value with a sentence. */
  readonly check?: (value: string) => string | undefined;
  /** Why this value (or the flag at all) is not built yet and what works instead; undefined when it is built. */
  readonly later?: (value: string) => string | undefined;
}

const later = (sentence: string) => () => `not built yet: ${sentence}`;

/** All flags of Telepresence 1 and ours, in the order of the usage line. */
export const FLAGS = [
  { long: "--help", short: "-h", help: "Show this help and exit." },
  { long: "--version", help: "Show the version and exit." },
  { long: "--verbose", help: "Log everything, for looking into a problem." },
  { long: "--quiet", short: "-q", help: "Say only what goes wrong: no steps, no notices, no line at the end." },
  {
    long: "--logfile",
    value: "PATH",
    help: 'Where the log goes; "-" is the standard output. Default: telepresence.log in the current directory.',
    check: (path) => path === "" ? "expected a path" : undefined,
  },
  {
    long: "--method",
    short: "-m",
    value: "METHOD",
    choices: ["inject-tcp", "namespace", "vpn-tcp", "container"],
    help:
      "How the command's connections reach the cluster. inject-tcp preloads a library into one command and what it " +
      "starts, but not into static binaries, Go programs and setuid programs. namespace gives the command a network of " +
      "its own and carries every program, on Linux and without root. vpn-tcp leads the cluster's addresses and names " +
      "there for every program of this machine; sudo asks for a password. Default: inject-tcp where it can carry the " +
      "command, else namespace.",
    later: (method) =>
      isMethod(method)
        ? undefined
        : `${method} is not built yet: --method inject-tcp captures the command and what it starts, without root`,
  },
  {
    long: "--new-deployment",
    short: "-n",
    value: "NAME",
    group: "operation",
    help: "Make a new Deployment of this name as the proxy, with a Service of the same name when a port is exposed, " +
      "and delete both at the end. This is the default, with a random name.",
    check: (name) => isLabel(name) ? undefined : `invalid name: '${name}' (${LABEL_RULE})`,
  },
  {
    long: "--swap-deployment",
    short: "-s",
    value: "NAME[:CONTAINER]",
    group: "operation",
    help: "Put the proxy in the place of an existing Deployment, of its first or this container, for the time of the " +
      "session; the container's ports are exposed. statefulset/NAME, replicaset/NAME, daemonset/NAME and pod/NAME are " +
      "other workloads.",
    check: (value) => {
      const problem = readSwap(value);
      return typeof problem === "string" ? problem : undefined;
    },
  },
  {
    long: "--deployment",
    short: "-d",
    value: "NAME",
    group: "operation",
    help:
      'Use an existing Deployment that already runs the proxy, as "telepresence agent-manifest NAME" prints one, and ' +
      "leave it as it is; the ports of its container are exposed.",
    check: (name) => isLabel(name) ? undefined : `invalid name: '${name}' (${LABEL_RULE})`,
  },
  {
    long: "--take-over",
    help:
      "With --swap-deployment, end the session that has the workload, and take it. Without this flag it is told who " +
      "has it, and nothing is done.",
  },
  {
    long: "--context",
    value: "CONTEXT",
    help: "The context of the kubeconfig to use. Default: its current one.",
    // An empty name is an unset variable of a script; to fall back on the current context could be the wrong cluster.
    check: (name) => name === "" ? "expected the name of a context" : undefined,
  },
  {
    long: "--namespace",
    value: "NAMESPACE",
    help: 'The namespace to work in. Default: the context\'s own, else "default".',
    check: (name) => isLabel(name) ? undefined : `invalid namespace: '${name}' (${LABEL_RULE})`,
  },
  {
    long: "--serviceaccount",
    value: "SERVICE_ACCOUNT",
    help: "The service account of the proxy's pod. Default: that of a swapped workload, else the namespace's own.",
    check: (name) => /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(name) ? undefined : `invalid name: '${name}'`,
  },
  {
    long: "--expose",
    value: "PORT[:REMOTE]",
    repeats: true,
    help: "Forward the pod's port REMOTE, by default the same, to PORT on this machine. May be repeated.",
    check: (value) => {
      const problem = readExposed(value);
      return typeof problem === "string" ? problem : undefined;
    },
  },
  {
    long: "--publish",
    value: "PORT",
    repeats: true,
    help:
      "With --method namespace, have PORT of the command on this machine's localhost too, as each exposed one is. May " +
      "be repeated. With inject-tcp every port of the command is there by itself.",
    check: (value) => isPort(value) ? undefined : `invalid port: '${value}' (expected a number from 1 to 65535)`,
  },
  {
    long: "--to-pod",
    value: "PORT",
    repeats: true,
    help: "Forward this machine's port PORT to another container of the pod.",
    check: checkPort,
  },
  {
    long: "--from-pod",
    value: "PORT",
    repeats: true,
    help: "Let another container of the pod reach PORT on this machine.",
    check: checkPort,
  },
  {
    long: "--no-init-containers",
    help: "Leave out the init containers of a swapped workload, for a quicker start.",
  },
  {
    long: "--give-back-timeout",
    value: "SECONDS",
    help: "How long the proxy goes on serving at the end while the swapped workload comes back. Default: 30.",
    check: (value) => /^\d{1,5}$/.test(value) ? undefined : `invalid number of seconds: '${value}'`,
  },
  {
    long: "--recover",
    help: "Give back what killed sessions left, before this one starts. Without it, and on a terminal, you are asked.",
  },
  {
    long: "--plan",
    help: "Show every object, every change and every right that the session would need, and change nothing.",
  },
  {
    long: "--output",
    value: "FORM",
    choices: ["text", "json"],
    help: "How --plan is shown. Default: text.",
  },
  {
    long: "--record",
    value: "FILE",
    help:
      "Write each connection and look-up to a file, as lines of JSON: when, where, who, how many bytes, which error; " +
      "nothing of what was said. Only you can read it. telepresence report makes a page of it.",
    check: (path) => path === "" ? "expected a path" : undefined,
  },
  {
    long: "--container-to-host",
    value: "CONTAINER_PORT[:HOST_PORT]",
    repeats: true,
    help: "Forward a port of the local container to this machine.",
    later: later("with --method inject-tcp the command runs on this machine, and localhost stays its own"),
  },
  {
    long: "--also-proxy",
    value: "HOST",
    repeats: true,
    help:
      "With --method vpn-tcp, send connections to this host, address or range (CIDR) through the cluster as well. " +
      "May be repeated. The other methods send all connections of the command there.",
    check: (value) =>
      isHostOrRange(value) ? undefined : `invalid host: '${value}' (expected a name, an address or a range)`,
  },
  {
    long: "--never-proxy",
    value: "HOST",
    repeats: true,
    help: "Leave connections to this host, address or range (CIDR) on this machine. May be repeated. localhost, this " +
      "machine's own name and addresses, and the API server are left there anyhow.",
    check: (value) =>
      isHostOrRange(value) ? undefined : `invalid host: '${value}' (expected a name, an address or a range)`,
  },
  {
    long: "--local-cluster",
    help:
      "With --method vpn-tcp, take it for sure that the cluster asks this machine for names that it does not know. " +
      "Without it, that is found out.",
  },
  {
    long: "--mount",
    value: "PATH|BOOL",
    group: "mount",
    help: "Where the pod's volumes are mounted, each at its path in the pod below this directory, or whether they " +
      "are. The command finds the directory in TELEPRESENCE_ROOT. Default: true, a new directory that goes again.",
    check: (value) =>
      isFalse(value) || isTrue(value) || value.startsWith("/")
        ? undefined
        : "Value must be true, false, or an absolute filesystem path",
  },
  {
    long: "--mount-mode",
    value: "MODE",
    choices: MOUNT_MODES,
    help:
      "How the volumes come here. live mounts them, which takes FUSE and sshfs; copy makes copies of those that are " +
      "like configuration (Secrets, ConfigMaps, tokens) and keeps them fresh, and nothing is written back. Default: " +
      "auto, which is live where it can be.",
  },
  {
    long: "--docker-mount",
    value: "PATH",
    group: "mount",
    help: "Where the pod's volumes are mounted in the local container.",
    check: (value) => value.startsWith("/") ? undefined : "Value must be an absolute filesystem path",
    later: later("volumes are not mounted; leave it out"),
  },
  {
    long: "--grace",
    value: "SECONDS",
    help: "How long a lost connection to the pod is waited for before the command is ended. Default: 60.",
    check: (value) =>
      /^\d{1,5}$/.test(value) && Number(value) >= 1
        ? undefined
        : `invalid number of seconds: '${value}' (expected 1 to 99999)`,
  },
  {
    long: "--env-json",
    value: "FILE",
    help: "Write the pod's environment to a file, as JSON. Only you can read it; it stays when the session ends.",
    check: (path) => path === "" ? "expected a path" : undefined,
  },
  {
    long: "--env-file",
    value: "FILE",
    help: "Write the pod's environment to a file, as Docker Compose reads it: without values of several lines, which " +
      "the format cannot have.",
    check: (path) => path === "" ? "expected a path" : undefined,
  },
  {
    long: "--env",
    value: "NAME=VALUE",
    repeats: true,
    help: "Set a variable of the command, whatever the pod says. May be repeated.",
    check: (value) => /^[^=]+=/s.test(value) ? undefined : `invalid variable: '${value}' (expected NAME=VALUE)`,
  },
  {
    long: "--env-unset",
    value: "PATTERN",
    repeats: true,
    help: "Start the command without the variables whose names match; * and ? as in a shell. May be repeated.",
    check: (pattern) => pattern === "" ? "expected a pattern" : undefined,
  },
  {
    long: "--run-shell",
    group: "run",
    help: "Run a shell (bash) that behaves as if it were in the pod. This is the default.",
  },
  {
    long: "--run",
    value: "COMMAND ...",
    rest: true,
    group: "run",
    help: "Run this command as if it were in the pod. Everything behind --run belongs to the command, so options of " +
      "telepresence stand before it.",
  },
  {
    long: "--docker-run",
    value: "ARGUMENT ...",
    rest: true,
    group: "run",
    help: "Run a container with these arguments of docker run.",
    later: later("--run COMMAND runs a command on this machine as if it were in the pod"),
  },
] as const satisfies readonly Flag[];

/** The long form of a flag that exists. */
export type Long = (typeof FLAGS)[number]["long"];

/** Rows as what they all are, for those who read any row. */
export const ROWS: readonly (Flag & { readonly long: Long })[] = FLAGS;

/** Whether nothing of a flag is built yet, so that usage and help leave it out. */
export function isLater(flag: Flag): boolean {
  return flag.later !== undefined && flag.choices === undefined;
}

/** Both forms of a flag as a usage error names it. */
export function nameOf(flag: Flag): string {
  return flag.short === undefined ? flag.long : `${flag.long}/${flag.short}`;
}
