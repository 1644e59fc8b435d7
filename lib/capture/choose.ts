/**
 * Which method a session uses: one table, from what this machine allows and what the command is. docs/methods.md prints
 * it (tools/methods_page.ts), and a test keeps the two alike.
 *
 * @module
 */
import { UserError } from "@/util/mod.ts";
import { INJECT_LIMITS } from "./inject/inject_tcp.ts";
import type { Refusal } from "./inject/carriable.ts";
import type { NamespaceVerdict } from "./namespace/probe.ts";

/** Methods that are built. */
export const METHODS = ["inject-tcp", "namespace", "vpn-tcp"] as const;
/** The word of a method that is built. */
export type MethodName = typeof METHODS[number];

/** What a method is and carries; docs and help print it from here. */
interface MethodFacts {
  readonly what: string;
  readonly carries: readonly string[];
  /** What it does not carry, in the few words that fit in the line at the start of a session. */
  readonly announced: readonly string[];
  /** The same, a sentence each. */
  readonly limits: readonly string[];
}

/** What each method is. */
export const METHOD_FACTS: Readonly<Record<MethodName, MethodFacts>> = {
  "inject-tcp": {
    what: "A library is preloaded into the command and into what it starts. No rights are needed",
    carries: [
      "TCP over IPv4 and IPv6 of dynamically linked programs, with the pod's own errno for each connect",
      "UDP over IPv4 and IPv6, one flow for each pair of ends",
      "Names, addresses and records of every type, by libc's functions and by programs that speak DNS themselves",
      "Listeners of the command are the host's own",
      "Volumes of the pod at their paths in the pod",
    ],
    announced: ["Go programs", "static binaries", "suid programs", "ping"],
    limits: INJECT_LIMITS,
  },
  namespace: {
    what: "The command and what it starts have a network namespace of their own. Linux, without root",
    carries: [
      "TCP over IPv4 and IPv6 of every program: static, Go, musl, Java; with the pod's own errno for each connect",
      "UDP over IPv4 and IPv6, one flow for each pair of ends",
      "Names and records of every type, whatever resolves them, by UDP and TCP",
      "localhost of the host by TCP and UDP, where nothing inside listens on that port",
      "Listeners of the command on exposed ports (`--expose`): from the cluster, and on the host's localhost",
      "Listeners on other ports on the host's localhost, where `--publish` names them",
      "Volumes of the pod at their paths in the pod, for every program",
    ],
    announced: ["ping", "multicast", "suid programs"],
    limits: [
      "Ping is refused: the pod may send no ICMP",
      "That a peer of UDP refused is not told: no answer comes",
      "Setuid programs gain no rights, unless telepresence itself runs as root",
      "Listeners of the command that are neither exposed nor published are not on the host's localhost",
      "Other users and groups of the host are shown as nobody, unless telepresence itself runs as root",
      "Multicast and broadcast go nowhere",
    ],
  },
  "vpn-tcp": {
    what: "Every program of this machine is carried to the cluster, and to what `--also-proxy` names. Linux, with root",
    carries: [
      "TCP and UDP over IPv4 and IPv6 to Services and pods, with the pod's own errno for each connect",
      "Names of the cluster, in all their forms and with records of every type, whatever resolves them",
      "Names that this machine's own name servers do not know, where the cluster's do",
      "Services that appear later, and addresses outside of the known ranges that the pod resolved a name to",
      "Hosts and ranges of `--also-proxy`; names with all their addresses, as the pod has them by then",
      "Everything else as before: public sites, the developer's own network and its names, other VPNs",
      "Listeners of the command are the host's own",
    ],
    announced: ["ping", "other network namespaces (containers)", "a second session of this method"],
    limits: [
      "One session of this method on a machine; others beside it are no problem",
      "Ranges that are a subnet of this machine, or a VPN's route, are refused where `--never-proxy` names none of them",
      "Containers and other network namespaces of this machine are not carried",
      "Programs that ask other name servers than those of /etc/resolv.conf, or over TLS, hear what those know",
      "Programs that ask systemd-resolved by its own protocols (resolvectl) hear what that knows",
      "The machine's name servers come to know which names are asked for, and the cluster's too",
      "Ping to the cluster is not answered: the pod may send no ICMP",
      "That a peer of UDP refused is not told: no answer comes",
      "Where the kernel has no nftables, a connection is accepted first, and reset when the pod cannot make it",
      "Programs that are bound to one network device are left alone",
      "Hosts within a range that leads to the cluster cannot connect to this machine meanwhile: answers go the other way",
      "While the session is stopped (Ctrl-Z), connections to the cluster wait for it, and its names are not resolved",
      "A name server that is reached by a link-local address alone is not seen",
    ],
  },
};

/** What of a program's each method carries, and where to: a word or two for each of {@linkcode METHODS}, in its order. */
export const CARRIED: Readonly<Record<string, readonly [string, string, string]>> = {
  "whose connections": ["the command", "the command", "all programs'"],
  "TCP to the cluster, IPv4 and IPv6": ["yes", "yes", "yes"],
  "UDP to the cluster": ["yes", "yes", "yes"],
  "TCP to everywhere else": ["by the pod", "by the pod", "as before"],
  "names, as libc resolves them": ["yes", "yes", "yes"],
  "names, as programs with their own resolver do": ["yes", "yes", "yes"],
  "SRV, TXT, PTR and every other type of record": ["yes", "yes", "yes"],
  "static binaries, Go": ["no", "yes", "yes"],
  "ping": ["no", "no", "no"],
  "`localhost`": ["your machine", "the command, then your machine", "your machine"],
};

/** What a choice is made from. */
export interface ChoiceInput {
  /** `--method`, if it was given. */
  readonly wanted?: MethodName;
  /** Whether there is a preload library for this machine. */
  readonly hasShim: boolean;
  /** Why the preload library cannot carry the command; undefined when it can. */
  readonly refusal?: Refusal;
  /** Whether there is a helper for this machine. @default {false} */
  readonly hasHelper?: boolean;
  /** The command's first word. */
  readonly program: string;
  /** Whether the session runs as root, whose programs need no setuid bit. */
  readonly isRoot: boolean;
  /** The machine. @default {this one} */
  readonly machine?: { readonly os: string; readonly arch: string };
  /** Asks whether this machine allows a namespace; not called where the answer does not matter. */
  readonly namespace: () => Promise<NamespaceVerdict>;
}

/** What was chosen. */
export interface Choice {
  readonly method: MethodName;
  /** Why, as the end of a sentence; undefined where the user has chosen. */
  readonly reason?: string;
}

/** A row of the table: where no `--method` is given, the first row that fits decides. */
interface Row {
  readonly machine: "has a preload library" | "allows namespaces" | "any";
  readonly command: "can load it" | "is for this processor, and not setuid unless run as root" | "any";
  readonly method: MethodName | "none";
  readonly reason: string;
}

/** The table. */
export const CHOICES: readonly Row[] = [
  {
    machine: "has a preload library",
    command: "can load it",
    method: "inject-tcp",
    reason: "the command can be preloaded, and its own ports stay those of this machine",
  },
  {
    machine: "allows namespaces",
    command: "is for this processor, and not setuid unless run as root",
    method: "namespace",
    reason: "inject-tcp cannot carry the command, and a namespace carries every program",
  },
  { machine: "any", command: "any", method: "none", reason: "refused, with the reason of each method" },
];

/**
 * Chooses a method, before anything is started.
 *
 * @throws {UserError} that says why none is possible, or the one that is wanted is not, and what is
 */
export async function chooseMethod(input: ChoiceInput): Promise<Choice> {
  const { wanted, hasShim, hasHelper = false, refusal, program, isRoot, machine = Deno.build } = input;
  if (!hasMethods(machine)) {
    const what = wanted === undefined ? `carry "${program}"` : `use --method ${wanted}`;
    throw new UserError(`Cannot ${what}: ${whyNoMethod(machine)}`, { hints: NO_METHOD_HINTS });
  }
  if (wanted === "vpn-tcp") {
    if (hasHelper) return { method: wanted }; // whatever the command is: the whole machine is carried
    throw new UserError(`Cannot use --method vpn-tcp: there is no helper for ${machine.os} on ${machine.arch}`);
  }
  const preloads = hasShim && refusal === undefined;
  if (wanted === "inject-tcp" && preloads) return { method: wanted };
  if (wanted === undefined && preloads) return { method: "inject-tcp", reason: `"${program}" can be preloaded` };

  const whyNotInject = refusal === undefined
    ? `there is no preload library for ${machine.os} on ${machine.arch}`
    : refusal.reason;
  const verdict = await input.namespace();
  const whyNotNamespace = !verdict.allowed
    ? verdict.reason
    : refusal?.kind === "secure" && !isRoot
    ? "a program gains no rights in a user namespace"
    : refusal?.kind === "architecture"
    ? refusal.reason
    : undefined;
  if (wanted === "inject-tcp") {
    throw new UserError(sentence(refusal, program, "inject-tcp", whyNotInject), {
      hints: [
        ...(refusal?.hints ?? []),
        ...(whyNotNamespace === undefined ? ["Or leave --method away: --method namespace carries it"] : []),
      ],
    });
  }
  const hints = verdict.allowed ? [] : verdict.hints;
  if (whyNotNamespace === undefined) {
    return {
      method: "namespace",
      ...(wanted === undefined && { reason: `inject-tcp cannot carry it: ${whyNotInject}` }),
    };
  }
  if (wanted === "namespace") {
    throw new UserError(`Cannot use --method namespace: ${whyNotNamespace}`, {
      hints: [...hints, ...(preloads ? ["--method inject-tcp carries this command without namespaces"] : [])],
    });
  }
  throw new UserError(sentence(refusal, program, "inject-tcp", whyNotInject), {
    hints: [...(refusal?.hints ?? []), `--method namespace would carry it, but ${whyNotNamespace}`, ...hints],
  });
}

/** Whether any method can carry a command on such a system. */
export function hasMethods({ os }: { readonly os: string }): boolean {
  return os === "linux";
}

/** Why none can. */
export function whyNoMethod({ os }: { readonly os: string }): string {
  const name = { darwin: "macOS", windows: "Windows" }[os] ?? os;
  return `all methods that carry a command are Linux's, and this is ${name}`;
}

/** What somebody can do there. */
export const NO_METHOD_HINTS: readonly string[] = [
  "Run telepresence in a Linux virtual machine, with your kubeconfig in it: telepresence help install",
  "What is asked of the cluster alone is made for this system too: --plan, doctor, status, recover",
];

function sentence(refusal: Refusal | undefined, program: string, method: string, reason: string): string {
  if (refusal === undefined) return `Cannot use --method ${method}: ${reason}`;
  const chain = refusal.path.endsWith(`/${program}`) || refusal.path === program ? "" : `, which runs "${program}",`;
  return `Cannot carry "${refusal.path}"${chain} by ${method}: ${reason}`;
}
