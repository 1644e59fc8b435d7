/**
 * The manual page, in the language of man(7), from the tables that the program itself reads. `docs/telepresence.1` is
 * this page, and a test keeps it so.
 *
 * @module
 */
import { isLater, ROWS } from "./flag_table.ts";
import { EXAMPLES, EXIT_CODES, toldSubcommands } from "./help.ts";
import { wrap } from "./_wrap.ts";
import type { Option } from "./subcommands.ts";

/** When the page was last looked through, as man(7) wants to know. */
const DATE = "2026-11-24";
/** Longest line of the source, which people read as well. */
const WIDTH = 78;

/** The manual page. */
export function manPage(version: string): string {
  const flags = ROWS.filter((row) => !isLater(row));
  return [
    `.TH TELEPRESENCE 1 "${DATE}" "telepresence ${escape(version)}" "User Commands"`,
    ".SH NAME",
    "telepresence \\- run a local process as if it were in a pod of a cluster",
    ".SH SYNOPSIS",
    ".B telepresence",
    "[\\fIOPTION\\fR ...]",
    "[\\fB\\-\\-run\\-shell\\fR | \\fB\\-\\-run\\fR \\fICOMMAND\\fR ...]",
    ".br",
    ".B telepresence",
    "\\fISUBCOMMAND\\fR [\\fIOPTION\\fR ...]",
    ".SH DESCRIPTION",
    ...paragraphs([
      "Its connections and names are those of the pod, and ports of the pod arrive at it. When it ends, the cluster is " +
      "as it was. It needs no kubectl, no daemon, nothing installed by an administrator, and no privileged pod.",
      "Options stand before --run: what follows it belongs to the command.",
      "Standard input, output and exit status are the command's own; what telepresence says goes to the standard error, " +
      "marked with T:.",
    ]),
    ".SH OPTIONS",
    ...flags.flatMap(optionOf),
    ".SH SUBCOMMANDS",
    ...toldSubcommands().flatMap(([name, { help, operands, options, more }]) => [
      ".TP",
      `.B ${escape(name)}${operands === undefined ? "" : `\\fR \\fI${escape(operands)}`}`,
      text(`${help[0]?.toUpperCase()}${help.slice(1)}.${more === undefined ? "" : ` ${more}`}`),
      ...(options.length === 0 ? [] : [".RS", ...options.flatMap(optionOf), ".RE"]),
    ]),
    ".SH EXIT STATUS",
    ...EXIT_CODES.flatMap(([code, when]) => [".TP", `.B ${escape(code)}`, text(`${when}.`)]),
    ".SH ENVIRONMENT",
    ...ENVIRONMENT.flatMap(([name, what]) => [".TP", `.B ${escape(name)}`, text(what)]),
    ".SH FILES",
    ...FILES.flatMap(([name, what]) => [".TP", `.I ${escape(name)}`, text(what)]),
    ".SH EXAMPLES",
    ...EXAMPLES.flatMap((
      [words, command],
    ) => [text(words), ".PP", ".RS 4", ".nf", escape(command), ".fi", ".RE", ".PP"])
      .slice(0, -1),
    ".SH SEE ALSO",
    ".BR kubectl (1)",
    "",
  ].join("\n");
}

const ENVIRONMENT: readonly (readonly [string, string])[] = [
  ["KUBECONFIG", "Where the kubeconfig is. Default: ~/.kube/config."],
  ["TELEPRESENCE_REGISTRY", "Where the agent's image comes from, in place of its own registry."],
  ["TELEPRESENCE_ROOT", "Set for the command: the directory below which the pod's volumes are."],
  ["HTTPS_PROXY, NO_PROXY", "The proxy on the way to the API server."],
  ["XDG_STATE_HOME", "Where what is to be undone is written down. Default: ~/.local/state."],
];

const FILES: readonly (readonly [string, string])[] = [
  ["telepresence.log", "The log of a session, in the current directory, readable by you alone."],
  ["~/.local/state/telepresence/sessions", "What sessions have to undo; empty when none runs."],
];

function optionOf({ long, short, value, help }: Option): string[] {
  const behind = value === undefined ? "" : ` \\fI${escape(value)}\\fR`;
  const forms = [long, ...(short === undefined ? [] : [short])].map((form) => `\\fB${escape(form)}\\fR${behind}`);
  return [".TP", forms.join(", "), text(help)];
}

function paragraphs(words: readonly string[]): string[] {
  return words.flatMap((each, index) => index === 0 ? [text(each)] : [".PP", text(each)]);
}

/** Running text: sentences on lines of their own, as man(7) wants them, and none that looks like a request. */
function text(words: string): string {
  return words.split(/(?<=[.:;]) (?=[A-Z"])/).flatMap((sentence) => wrap(escape(sentence), WIDTH)).map(guard).join(
    "\n",
  );
}

function escape(words: string): string {
  return words.replaceAll("\\", "\\e").replaceAll("-", "\\-");
}

/** A line of text that begins like a request is none. */
function guard(line: string): string {
  return line.replace(/^([.'])/, "\\&$1");
}
