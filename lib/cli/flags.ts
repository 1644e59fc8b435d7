/**
 * The command line as one table. A row drives parsing, the usage line, the help, and what a flag that is not built yet
 * is refused with; completions and the man page can be printed from it.
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
import ipaddr from "ipaddr.js";
import { WORKLOAD_KINDS, type WorkloadKind, type WorkloadName } from "@/session/mod.ts";
import { UsageError } from "./usage_error.ts";

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
const MOUNT_MODES = ["auto", "live", "copy"] as const;

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

/** What was typed, before it has a meaning: each flag's values in order, a switch's as an empty word each time. */
export interface Typed {
  /** Values of a flag that may be repeated. */
  all(long: Long): readonly string[];
  /** The value of a flag that counts once, or undefined when it was not given. */
  last(long: Long): string | undefined;
  /** The words behind a flag that takes the rest of the line. */
  readonly rest: readonly string[];
}

/**
 * The meaning of what was typed; only flags that are built come here.
 *
 * @throws {UsageError} when values that are right alone do not go together
 */
export function readFlags(typed: Typed): Flags {
  const expose = readExpose(typed.all("--expose"));
  const name = typed.last("--new-deployment");
  if (name !== undefined && expose.length > 0 && !/^[a-z]/.test(name)) {
    // A Deployment may be called so, a Service (RFC 1035) may not: said before either is made.
    throw new UsageError(
      `argument --new-deployment/-n: invalid name: '${name}' (with --expose it names a Service too, ` +
        "which begins with a letter)",
    );
  }
  const swapped = typed.last("--swap-deployment");
  const swap = swapped === undefined ? undefined : readSwap(swapped);
  if (typeof swap === "string") throw new UsageError(`argument --swap-deployment/-s: ${swap}`);
  const existing = typed.last("--deployment");
  const takeOver = typed.last("--take-over") !== undefined;
  if (takeOver && swap === undefined) throw new UsageError("argument --take-over: only with --swap-deployment");
  if (existing !== undefined && typed.last("--serviceaccount") !== undefined) {
    throw new UsageError("argument --serviceaccount: not allowed with argument --deployment/-d, which changes nothing");
  }
  const shown = typed.last("--output");
  const isShown = typed.last("--plan") !== undefined;
  if (shown !== undefined && !isShown) throw new UsageError("argument --output: only with --plan");
  const ports = (long: Long) => [...new Set(typed.all(long).map(Number))];
  const fromPod = ports("--from-pod");
  const both = expose.find(({ pod }) => fromPod.includes(pod));
  if (both !== undefined) throw new UsageError(`argument --from-pod: --expose has the pod's port ${both.pod} already`);
  const [serviceAccount, timeout] = [typed.last("--serviceaccount"), typed.last("--give-back-timeout")];
  const [context, namespace, logfile] = [typed.last("--context"), typed.last("--namespace"), typed.last("--logfile")];
  const [json, file] = [typed.last("--env-json"), typed.last("--env-file")];
  const grace = typed.last("--grace");
  const record = typed.last("--record");
  const [command, ...args] = typed.rest;
  const method = typed.last("--method");
  return {
    ...(isMethod(method) && { method }),
    operation: swap ??
      (existing !== undefined
        ? { kind: "existing", name: existing }
        : { kind: "new", ...(name !== undefined && { name }) }),
    ...(context !== undefined && { context }),
    ...(namespace !== undefined && { namespace }),
    ...(serviceAccount !== undefined && { serviceAccount }),
    expose,
    toPod: ports("--to-pod"),
    fromPod,
    initContainers: typed.last("--no-init-containers") === undefined,
    ...(timeout !== undefined && { giveBackTimeoutMs: Number(timeout) * 1000 }),
    recover: typed.last("--recover") !== undefined,
    ...(record !== undefined && { record }),
    takeOver,
    ...(isShown && { show: shown === "json" ? "json" : "text" }),
    publish: [...new Set(typed.all("--publish").map(Number))],
    neverProxy: [...new Set(typed.all("--never-proxy"))],
    alsoProxy: [...new Set(typed.all("--also-proxy"))],
    localCluster: typed.last("--local-cluster") !== undefined,
    ...(grace !== undefined && { graceSeconds: Number(grace) }),
    run: command === undefined ? { kind: "shell" } : { kind: "command", words: [command, ...args] },
    ...(logfile !== undefined && { logfile }),
    verbose: typed.last("--verbose") !== undefined,
    quiet: typed.last("--quiet") !== undefined,
    environment: {
      set: Object.fromEntries(typed.all("--env").map((given) => cut(given))),
      unset: typed.all("--env-unset"),
    },
    environmentFiles: {
      ...(json !== undefined && { json }),
      ...(file !== undefined && { file }),
    },
    volumes: { at: readMount(typed.last("--mount") ?? "true"), mode: readMode(typed.last("--mount-mode")) },
  };
}

function readMode(value: string | undefined): MountMode {
  return MOUNT_MODES.find((mode) => mode === value) ?? "auto";
}

function readMount(value: string): MountPlace {
  if (isFalse(value)) return { kind: "nowhere" };
  return isTrue(value) ? { kind: "temporary" } : { kind: "path", path: value };
}

/** `NAME=VALUE` at its first "=". */
function cut(given: string): [string, string] {
  const at = given.indexOf("=");
  return [given.slice(0, at), given.slice(at + 1)];
}

function isMethod(word: string | undefined): word is Method {
  return word === "inject-tcp" || word === "namespace" || word === "vpn-tcp";
}

function readExpose(values: readonly string[]): Exposed[] {
  const ports: (Exposed & { value: string })[] = [];
  for (const value of values) {
    const port = readExposed(value);
    if (typeof port === "string") throw new UsageError(`argument --expose: ${port}`);
    const twin = ports.find(({ host, pod }) => host === port.host || pod === port.pod);
    if (twin !== undefined) {
      const what = twin.pod === port.pod ? `the pod's port ${port.pod}` : `port ${port.host} of this machine`;
      throw new UsageError(`argument --expose: '${twin.value}' and '${value}' both use ${what}`);
    }
    ports.push({ ...port, value });
  }
  return ports.map(({ host, pod }) => ({ host, pod }));
}

/** A port mapping, or what is wrong with it. */
function readExposed(value: string): Exposed | string {
  const [, host, pod = host] = /^(\d{1,5})(?::(\d{1,5}))?$/.exec(value) ?? [];
  if (isPort(host) && isPort(pod)) return { host: Number(host), pod: Number(pod) };
  return `invalid port: '${value}' (expected PORT or LOCAL:REMOTE, each from 1 to 65535)`;
}

function checkPort(value: string): string | undefined {
  if (!/^\s*[+-]?\d+\s*$/.test(value)) return `invalid int value: '${value}'`;
  return Number(value) >= 1 && Number(value) <= 65535 ? undefined : `invalid port: '${value}' (expected 1 to 65535)`;
}

/** A workload and a container of it, or what is wrong with the words. */
export function readSwap(value: string): Operation & { kind: "swap" } | string {
  const [, word = "deployment", name, container] = /^(?:([^/:]+)\/)?([^/:]+)(?::([^/:]+))?$/.exec(value) ?? [];
  if (name === undefined || !/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/.test(name)) {
    return `invalid workload: '${value}' (expected NAME or KIND/NAME, and maybe :CONTAINER)`;
  }
  const kind = kindOf(word);
  if (kind === undefined) {
    if (/^(dc|deploymentconfigs?)(\.|$)/i.test(word)) {
      return `DeploymentConfigs of OpenShift are not swapped: ` +
        `'oc scale dc/${name} --replicas=0' and --new-deployment NAME --expose PORT come near`;
    }
    return `invalid kind of workload: '${word}' (choose from ${WORKLOAD_KINDS.join(", ")})`;
  }
  if (container !== undefined && !isLabel(container)) return `invalid container: '${container}' (${LABEL_RULE})`;
  return { kind: "swap", workload: { kind, name }, ...(container !== undefined && { container }) };
}

/** A kind by the words that kubectl takes for it. */
function kindOf(word: string): WorkloadKind | undefined {
  const short: Readonly<Record<string, WorkloadKind>> = {
    deploy: "deployment",
    sts: "statefulset",
    rs: "replicaset",
    ds: "daemonset",
    po: "pod",
  };
  const singular = word.toLowerCase().replace(/(\.apps)?$/, "").replace(/s(\.apps)?$/, "");
  return WORKLOAD_KINDS.find((kind) => kind === singular || kind === word.toLowerCase()) ?? short[word.toLowerCase()];
}

function isTrue(value: string): boolean {
  return /^(true|on|yes|1)$/i.test(value);
}

function isPort(text: string | undefined): boolean {
  return /^\d{1,5}$/.test(text ?? "") && Number(text) >= 1 && Number(text) <= 65535;
}

/** Whether it is an address, a range of addresses, or what a name of the DNS may look like. */
function isHostOrRange(text: string): boolean {
  const [address = "", bits] = text.split("/", 2);
  if (bits !== undefined) return isAddress(address) && ipaddr.isValidCIDR(text);
  const label = "[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?";
  const isName = new RegExp(`^${label}(\\.${label})*\\.?$`, "i").test(text) && !/^[\d.]+$/.test(text);
  return isAddress(text) || (isName && text.length <= 254);
}

function isAddress(text: string): boolean {
  return ipaddr.IPv6.isValid(text) || ipaddr.IPv4.isValidFourPartDecimal(text);
}

function isFalse(value: string): boolean {
  return /^(false|off|no|0)$/i.test(value);
}

const LABEL_RULE = 'a name has at most 63 characters a-z, 0-9 and "-", and begins and ends with a letter or a digit';

/** Whether Kubernetes takes it as a name: a label of RFC 1123. */
function isLabel(name: string): boolean {
  return /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name);
}
