/**
 * Which method a session uses: one table, from what this machine allows and what the command is. docs/methods.md prints
 * it (tools/methods_page.ts), and a test keeps the two alike.
 *
 * @module
 */
import { UserError } from "@/util/mod.ts";
import type { Refusal } from "./inject/carriable.ts";
import type { NamespaceVerdict } from "./namespace/probe.ts";

/** Methods that are built. */
export const METHODS = ["inject-tcp", "namespace"] as const;
/** The word of a method that is built. */
export type MethodName = typeof METHODS[number];

/** What each method carries: docs and help print it from here. */
export const METHOD_FACTS: Readonly<
  Record<MethodName, { readonly what: string; readonly carries: readonly string[]; readonly limits: readonly string[] }>
> = {
  "inject-tcp": {
    what: "a library, preloaded into the command and what it starts",
    carries: ["TCP over IPv4 and IPv6", "names, by libc's functions", "a listener of the command is the host's own"],
    limits: ["Go programs", "static binaries", "suid programs", "custom DNS implementations"],
  },
  namespace: {
    what: "a network namespace for the command and what it starts, without root (Linux)",
    carries: [
      "TCP over IPv4 and IPv6 of any program: static, Go, musl, Java",
      "names, by any resolver: A and AAAA records",
      "localhost of the host, where nothing inside listens on that port",
      "listeners of the command on exposed ports, from the cluster and on the host's localhost",
    ],
    limits: [
      "UDP to the cluster",
      "ping",
      "suid programs (unless telepresence runs as root)",
      "listeners of the command that are not exposed are not on the host's localhost",
    ],
  },
};

/** What a choice is made from. */
export interface ChoiceInput {
  /** `--method`, if it was given. */
  readonly wanted?: MethodName;
  /** Whether there is a preload library for this machine. */
  readonly hasShim: boolean;
  /** Why the preload library cannot carry the command; undefined when it can. */
  readonly refusal?: Refusal;
  /** The command's first word. */
  readonly program: string;
  /** Whether the session runs as root, whose programs need no setuid bit. */
  readonly isRoot: boolean;
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
  readonly command: "can load it" | "cannot gain rights" | "any";
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
    command: "cannot gain rights",
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
  const { wanted, hasShim, refusal, program, isRoot } = input;
  const preloads = hasShim && refusal === undefined;
  if (wanted === "inject-tcp" && preloads) return { method: wanted };
  if (wanted === undefined && preloads) return { method: "inject-tcp", reason: `"${program}" can be preloaded` };

  const whyNotInject = refusal === undefined
    ? `there is no preload library for ${Deno.build.os} on ${Deno.build.arch}`
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

function sentence(refusal: Refusal | undefined, program: string, method: string, reason: string): string {
  if (refusal === undefined) return `Cannot use --method ${method}: ${reason}`;
  const chain = refusal.path.endsWith(`/${program}`) || refusal.path === program ? "" : `, which runs "${program}",`;
  return `Cannot carry "${refusal.path}"${chain} by ${method}: ${reason}`;
}
