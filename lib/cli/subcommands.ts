/**
 * The subcommands as one table, as `flag_table.ts` is for the flags of a session: it drives their parsing, their help, the
 * completions and the man page.
 *
 * @module
 */
import { SHELLS } from "./completion_scripts.ts";
import type { Flag } from "./flag_table.ts";

/** A flag of a subcommand: its grammar and its words. */
export type Option = Pick<Flag, "long" | "short" | "value" | "choices" | "help" | "repeats">;

/** One subcommand. */
export interface SubcommandRow {
  /** What it does, as one clause. */
  readonly help: string;
  /** What stands behind its options, as usage shows it. */
  readonly operands?: string;
  /** What those may be, where they are of a fixed set. */
  readonly choices?: readonly string[];
  /** What those are, for completions. */
  readonly operandsAre?: "sessions" | "topics" | "files";
  /** How many there may be. @default {any number} */
  readonly most?: number;
  /** Whether it is for programs alone, and told to nobody. */
  readonly hidden?: true;
  readonly options: readonly Option[];
  /** More to say, in its own help and in the man page. */
  readonly more?: string;
  /** What works instead of one that is not built yet. */
  readonly later?: string;
}

const CONTEXT: Option = { long: "--context", value: "CONTEXT", help: "The context of the kubeconfig to use." };
const NAMESPACE: Option = { long: "--namespace", value: "NAMESPACE", help: "The namespace to look at." };
const OUTPUT: Option = {
  long: "--output",
  short: "-o",
  value: "FORM",
  choices: ["text", "json"],
  help: "For people or for programs. Default: text.",
};

/** All subcommands, which stand as the first word alone. */
export const SUBCOMMANDS = {
  status: {
    help: "show the sessions of this machine and of others",
    options: [
      CONTEXT,
      NAMESPACE,
      { long: "--all-namespaces", short: "-A", help: "Look at every namespace." },
      {
        long: "--watch",
        short: "-w",
        help: "Show the connections of this machine's sessions as they are, to their end.",
      },
      OUTPUT,
    ],
    operands: "[SESSION ...]",
    operandsAre: "sessions",
    more:
      "With --watch: connections from here with the name that was asked for, connections to exposed ports with their " +
      "callers, and look-ups, each with its state, bytes, age and program. What failed stays for half a minute. On a " +
      "terminal the table is written over; elsewhere each change is a line; with --output json each moment is one. " +
      "Sessions are named by the beginning of their id.",
  },
  recover: {
    help: "give back what killed sessions left",
    operands: "[SESSION ...]",
    operandsAre: "sessions",
    options: [CONTEXT, NAMESPACE],
    more:
      "Sessions are named by the beginning of their id, as status shows it; without one, all that are left over on " +
      "this machine are given back.",
  },
  report: {
    help: "make a page of HTML of a session's record",
    operands: "FILE",
    operandsAre: "files",
    most: 1,
    options: [],
    more:
      "FILE is what --record wrote; the page goes to the standard output: telepresence report FILE > page.html. It " +
      "has a time line for each destination, totals, what failed in red, and a table that sorts, and needs nothing " +
      "beside itself.",
  },
  doctor: {
    help: "look at everything that a session needs",
    options: [CONTEXT, NAMESPACE, OUTPUT],
    more: "Nothing is changed. Each line begins with ok, warning (some sessions need something else) or problem (no " +
      "session works), and has the next step below it. The exit code is 255 when there is a problem.",
  },
  "agent-manifest": {
    help: "print the YAML of a proxy to install, for --deployment",
    operands: "NAME",
    options: [
      { long: "--namespace", value: "NAMESPACE", help: "The namespace that the objects name. Default: none." },
      {
        long: "--expose",
        value: "PORT",
        repeats: true,
        help: "Have this port in the Service of the proxy. May be repeated.",
      },
      { long: "--serviceaccount", value: "SERVICE_ACCOUNT", help: "The service account of the proxy's pod." },
      {
        long: "--image",
        value: "IMAGE",
        help:
          "An image that has the agent in it (the Dockerfile beside the sources makes one). Default: the stock image " +
          "of the agent's runtime, and the agent in a ConfigMap.",
      },
      { long: "--output", short: "-o", value: "FORM", choices: ["yaml", "json"], help: "Default: yaml." },
    ],
    more: "The key that lets sessions in is made anew each time, and lies in a Secret: who may read that may use the " +
      "proxy. To install: telepresence agent-manifest NAME | kubectl apply -f -",
  },
  completion: {
    help: "print the completions of a shell",
    operands: "SHELL",
    choices: SHELLS,
    most: 1,
    options: [],
    more: 'To have them: eval "$(telepresence completion bash)" in ~/.bashrc, the same with zsh in ~/.zshrc (behind ' +
      "compinit); telepresence completion fish | source in ~/.config/fish/config.fish. Contexts, namespaces and " +
      "workloads are those that are there, within 300 ms.",
  },
  help: {
    help: "explain an option, a subcommand or a topic",
    operands: "[TOPIC]",
    operandsAre: "topics",
    most: 1,
    options: [],
  },
  man: { help: "print the manual page, to be read with man --local-file -", options: [] },
  complete: { help: "answer a shell's completion", operands: "[WORD ...]", options: [], hidden: true },
  version: {
    help: "show the version",
    options: [{ long: "--check", help: "Ask the release page whether there is a newer one." }, OUTPUT],
    more: "Without --check nobody is asked. --output is how the answer is shown.",
  },
} as const satisfies Record<string, SubcommandRow>;

/** The name of a subcommand that exists. */
export type Subcommand = keyof typeof SUBCOMMANDS;

/** Whether a word is a subcommand. */
export function isSubcommand(word: string | undefined): word is Subcommand {
  return word !== undefined && Object.hasOwn(SUBCOMMANDS, word);
}

/** The row of a subcommand. */
export function subcommandRow(name: Subcommand): SubcommandRow {
  return SUBCOMMANDS[name];
}
