/**
 * The words behind a subcommand, read by the platform's own parser: each has a handful of options and no history to
 * keep to.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { messageOf } from "@/util/mod.ts";
import { type Subcommand, SUBCOMMANDS } from "./flags.ts";
import { UsageError } from "./usage_error.ts";

/** What a subcommand is asked for. */
export type Command =
  | {
    readonly kind: "recover";
    readonly context?: string;
    readonly namespace?: string;
    /** Beginnings of session ids; every session that is left over on this machine when empty. */
    readonly sessions: readonly string[];
  }
  | {
    readonly kind: "status";
    readonly context?: string;
    readonly namespace?: string;
    readonly allNamespaces: boolean;
    readonly output: "text" | "json";
  };

const STRINGS = { context: { type: "string" }, namespace: { type: "string" } } as const;

/**
 * Reads the words behind a subcommand.
 *
 * @throws {UsageError} when they have no meaning, or the subcommand is not built yet
 */
export function readCommand(name: Subcommand, args: readonly string[]): Command | "version" {
  switch (name) {
    case "version":
      if (args.length > 0) throw new UsageError(`unrecognized arguments: ${args.join(" ")}`);
      return "version";
    case "recover": {
      const { values, positionals } = read(name, args, STRINGS);
      return { kind: "recover", ...where(values), sessions: positionals };
    }
    case "status": {
      const { values, positionals } = read(name, args, {
        ...STRINGS,
        "all-namespaces": { type: "boolean", short: "A" },
        output: { type: "string", short: "o" },
      });
      const { output = "text" } = values;
      if (positionals.length > 0) throw new UsageError(`unrecognized arguments: ${positionals.join(" ")}`);
      if (output !== "text" && output !== "json") {
        throw new UsageError(`status: argument --output: invalid choice: '${output}' (choose from 'text', 'json')`);
      }
      return { kind: "status", ...where(values), allNamespaces: values["all-namespaces"] ?? false, output };
    }
    default:
      throw new UsageError(`${name}: not built yet: ${SUBCOMMANDS[name].later}`);
  }
}

type Options = NonNullable<NonNullable<Parameters<typeof parseArgs>[0]>["options"]>;

function read<const T extends Options>(name: Subcommand, args: readonly string[], options: T) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError(`${name}: ${messageOf(error).split(". ")[0]}`);
  }
}

function where({ context, namespace }: { context?: string | undefined; namespace?: string | undefined }) {
  return { ...(context !== undefined && { context }), ...(namespace !== undefined && { namespace }) };
}
