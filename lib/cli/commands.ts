/**
 * The words behind a subcommand, read by the platform's own parser from the table of `subcommands.ts`.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { messageOf } from "@/util/mod.ts";
import { type Shell, SHELLS } from "./completion_scripts.ts";
import { type Option, type Subcommand, subcommandRow } from "./subcommands.ts";
import { nearest } from "./_nearest.ts";
import { UsageError } from "./usage_error.ts";

/** Where a subcommand looks. */
interface Where {
  readonly context?: string;
  readonly namespace?: string;
}

/** How it tells what it found. */
interface Shown {
  readonly output: "text" | "json";
}

/** What a subcommand is asked for. */
export type Command =
  | {
    readonly kind: "recover";
    /** Beginnings of session ids; every session that is left over on this machine when empty. */
    readonly sessions: readonly string[];
  } & Where
  | { readonly kind: "status"; readonly allNamespaces: boolean } & Where & Shown
  | { readonly kind: "watch"; readonly sessions: readonly string[] } & Shown
  | { readonly kind: "report"; readonly file: string }
  | { readonly kind: "doctor" } & Where & Shown
  /** Whether there is a newer version. */
  | { readonly kind: "newest" } & Shown
  | {
    readonly kind: "agent-manifest";
    readonly name: string;
    readonly namespace?: string;
    readonly ports: readonly number[];
    readonly serviceAccount?: string;
    readonly image?: string;
    readonly output: "yaml" | "json";
  };

/** What this room answers itself. */
export type OwnCommand =
  | { readonly kind: "version" | "man" }
  | { readonly kind: "help"; readonly topic?: string }
  | { readonly kind: "completion"; readonly shell: Shell }
  | { readonly kind: "complete"; readonly words: readonly string[] };

/**
 * Reads the words behind a subcommand.
 *
 * @throws {UsageError} when they have no meaning, or the subcommand is not built yet
 */
export function readCommand(name: Subcommand, args: readonly string[]): Command | OwnCommand {
  if (name === "complete") return { kind: name, words: args.slice(args[0] === "--" ? 1 : 0) };
  if (name === "help" && args.length === 1 && args[0] !== "--" && !asksForHelp(args)) {
    return { kind: name, topic: args[0] ?? "" };
  }
  if (asksForHelp(args)) return { kind: "help", topic: name };
  const { later } = subcommandRow(name);
  if (later !== undefined) throw new UsageError(`${name}: not built yet: ${later}`);
  const { one, has, operands } = read(name, args);
  const [context, namespace] = [one("--context"), one("--namespace")];
  const where = { ...(context !== undefined && { context }), ...(namespace !== undefined && { namespace }) };
  const output = one("--output") === "json" ? "json" : "text";
  switch (name) {
    case "recover":
      return { kind: name, ...where, sessions: operands };
    case "status":
      if (has("--watch")) return { kind: "watch", sessions: operands, output };
      if (operands.length > 0) {
        const watch = `telepresence status --watch ${operands.join(" ")}`;
        throw new UsageError(`${name}: sessions are named with --watch alone`, [`to see their connections: ${watch}`]);
      }
      return { kind: name, ...where, allNamespaces: has("--all-namespaces"), output };
    case "doctor":
      return { kind: name, ...where, output };
    case "report": {
      const [file] = operands;
      if (file === undefined) throw new UsageError(`${name}: expected the FILE that --record wrote`);
      return { kind: name, file };
    }
    case "agent-manifest":
      return readAgentManifest(read(name, args));
    case "version":
      return has("--check") ? { kind: "newest", output } : { kind: name };
    case "man":
      return { kind: name };
    case "help": {
      const [topic] = operands;
      return { kind: name, ...(topic !== undefined && { topic }) };
    }
    case "completion": {
      const shell = SHELLS.find((each) => each === operands[0]);
      if (shell === undefined) throw new UsageError(`${name}: expected a shell (choose from ${SHELLS.join(", ")})`);
      return { kind: name, shell };
    }
    default:
      throw new TypeError(`Nobody reads the words of ${name}`);
  }
}

/** Whether a word of them is `--help`, wherever it stands: somebody who asks in the middle wants no other answer. */
function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  return args.slice(0, end < 0 ? args.length : end).some((word) => word === "--help" || word === "-h");
}

const NAME_RULE = 'at most 46 characters a-z, 0-9 and "-", the first one a letter, the last one no "-"';

function readAgentManifest({ one, all, operands: [name, ...strays] }: Words): Command {
  const refuse = (why: string) => new UsageError(`agent-manifest: ${why}`);
  if (name === undefined) throw refuse("the following arguments are required: NAME");
  if (strays.length > 0) throw new UsageError(`unrecognized arguments: ${strays.join(" ")}`);
  // Names of a Service begin with a letter (RFC 1035), and other objects' are made of it.
  if (!/^[a-z]([a-z0-9-]{0,44}[a-z0-9])?$/.test(name)) throw refuse(`invalid name: '${name}' (${NAME_RULE})`);
  const ports = all("--expose");
  const wrong = ports.find((port) => !/^[1-9]\d{0,4}$/.test(port) || Number(port) > 65535);
  if (wrong !== undefined) throw refuse(`argument --expose: invalid port: '${wrong}' (expected 1 to 65535)`);
  const [namespace, serviceAccount, image] = [one("--namespace"), one("--serviceaccount"), one("--image")];
  return {
    kind: "agent-manifest",
    name,
    ports: [...new Set(ports.map(Number))],
    ...(namespace !== undefined && { namespace }),
    ...(serviceAccount !== undefined && { serviceAccount }),
    ...(image !== undefined && { image }),
    output: one("--output") === "json" ? "json" : "yaml",
  };
}

/** The words behind a subcommand, by the flags of its row. */
interface Words {
  /** The value of a flag; the last one, where it was given more than once. */
  one(long: Option["long"]): string | undefined;
  /** Every value of a flag that may be repeated. */
  all(long: Option["long"]): readonly string[];
  has(long: Option["long"]): boolean;
  readonly operands: readonly string[];
}

function read(name: Subcommand, args: readonly string[]): Words {
  const row = subcommandRow(name);
  const options = Object.fromEntries(row.options.map(({ long, short, value, repeats = false }) => [long.slice(2), {
    type: value === undefined ? "boolean" as const : "string" as const,
    multiple: repeats,
    ...(short !== undefined && { short: short.slice(1) }),
  }]));
  const { values, positionals } = cut(name, args, options);
  if (row.operands === undefined && positionals.length > 0) {
    throw new UsageError(`unrecognized arguments: ${positionals.join(" ")}`);
  }
  const extra = positionals.slice(row.most ?? positionals.length);
  if (extra.length > 0) throw new UsageError(`unrecognized arguments: ${extra.join(" ")}`);
  for (const { long, choices } of row.options) {
    const value = values[long.slice(2)];
    if (choices === undefined || value === undefined || choices.includes(String(value))) continue;
    const known = choices.map((choice) => `'${choice}'`).join(", ");
    throw new UsageError(`${name}: argument ${long}: invalid choice: '${value}' (choose from ${known})`);
  }
  const wrong = positionals.find((word) => row.choices?.includes(word) === false);
  if (wrong !== undefined && row.choices !== undefined) {
    const meant = nearest(wrong, row.choices);
    const known = row.choices.map((choice) => `'${choice}'`).join(", ");
    throw new UsageError(
      `${name}: invalid choice: '${wrong}' (choose from ${known})`,
      meant === undefined ? [] : [`did you mean telepresence ${name} ${meant}?`],
    );
  }
  return {
    one: (long) => typeof values[long.slice(2)] === "string" ? String(values[long.slice(2)]) : undefined,
    all(long) {
      const value = values[long.slice(2)];
      return Array.isArray(value) ? value.map(String) : [];
    },
    has: (long) => values[long.slice(2)] === true,
    operands: positionals,
  };
}

function cut(
  name: Subcommand,
  args: readonly string[],
  options: Record<string, { type: "boolean" | "string"; short?: string; multiple: boolean }>,
) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    const [sentence = ""] = messageOf(error).split(". ");
    const [, unknown] = /Unknown option '(--[^'=]+)/.exec(sentence) ?? [];
    const meant = unknown && nearest(unknown, subcommandRow(name).options.map(({ long }) => long));
    throw new UsageError(`${name}: ${sentence}`, meant ? [`did you mean ${meant}?`] : []);
  }
}
