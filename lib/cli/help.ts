import { type Flag, isLater, ROWS } from "./flag_table.ts";
import { type Option, type Subcommand, type SubcommandRow, subcommandRow, SUBCOMMANDS } from "./subcommands.ts";
import { wrap } from "./_wrap.ts";

/** Width of the usage and the help where no terminal says another one. */
const DEFAULT_COLUMNS = 80;
/** Where the second column of the list of options begins, as in argparse; on a narrow terminal it is below the first. */
const HELP_COLUMN = 24;
const NARROW_HELP_COLUMN = 6;
/** From here on there is room for both columns. */
const ROOMY = 58;
/** Narrower lines would be a word each. */
const NARROWEST = 36;

/** The usage line, in as many lines as it takes: only what is built. */
export function usage(columns = DEFAULT_COLUMNS): string {
  return usageOf("usage: telepresence", partsOfUsage(), columns);
}

function partsOfUsage(): string[] {
  const built = ROWS.filter((row) => !isLater(row));
  return built.flatMap((flag) => {
    const group = flag.group === undefined ? [flag] : built.filter((other) => other.group === flag.group);
    if (group[0] !== flag) return []; // shown with the first of its group
    const forms = group.map((one) => formOf(one, one.long === "--help" ? "-h" : one.long));
    const last = forms.length - 1; // a group may be cut between its flags
    return forms.map((form, index) => `${index === 0 ? "[" : ""}${form}${index === last ? "]" : " |"}`);
  });
}

/** A usage line, cut between its parts, which stand below each other as far as there is room for that. */
function usageOf(lead: string, parts: readonly string[], columns: number): string {
  const indent = " ".repeat(columns < ROOMY ? NARROW_HELP_COLUMN : lead.length + 1);
  const lines = [lead];
  for (const part of parts) {
    const longer = `${lines.at(-1)} ${part}`;
    if (longer.length > columns - 2) lines.push(indent + part);
    else lines[lines.length - 1] = longer;
  }
  return lines.join("\n");
}

/** What `help` says about one flag. */
export function helpOfFlag(flag: Flag, columns = DEFAULT_COLUMNS): string {
  return `${describe(flag, widthFor(columns))}\n`;
}

/** What `help` says about a subcommand. */
export function helpOfSubcommand(name: Subcommand, columns = DEFAULT_COLUMNS): string {
  const { help, operands, options, more } = subcommandRow(name);
  const width = widthFor(columns);
  const forms = [
    ...options.map((option) => `[${formOf(option, option.long)}]`),
    ...(operands === undefined ? [] : [operands]),
  ];
  return [
    usageOf(`usage: telepresence ${name}`, forms, width + 2),
    wrap(`${help[0]?.toUpperCase()}${help.slice(1)}.`, width).join("\n"),
    ...(options.length === 0 ? [] : [options.map((option) => describe(option, width)).join("\n")]),
    ...(more === undefined ? [] : [wrap(more, width).join("\n")]),
  ].join("\n\n") + "\n";
}

function widthFor(columns: number): number {
  return Math.max(NARROWEST, Math.min(columns, 100) - 2);
}

/** Subcommands that are built and told. */
export function toldSubcommands(): (readonly [Subcommand, SubcommandRow])[] {
  return (Object.keys(SUBCOMMANDS) as Subcommand[])
    .map((name) => [name, subcommandRow(name)] as const)
    .filter(([, { later, hidden }]) => later === undefined && !hidden);
}

/** All that `--help` says. */
export function help(columns = DEFAULT_COLUMNS): string {
  const width = widthFor(columns);
  const text = (words: string) => wrap(words, width).join("\n");
  return [
    usage(width + 2),
    text(
      "Telepresence: a process on your machine behaves as if it ran in a pod of a Kubernetes cluster. Its connections " +
        "and names are those of the pod, and ports of the pod arrive at it. When it ends, the cluster is as it was.",
    ),
    "== Examples ==",
    ...EXAMPLES.map(([words, command]) => `${text(words)}\n\n  $ ${command}`),
    "== Detailed usage ==",
    `options:\n${ROWS.filter((row) => !isLater(row)).map((row) => describe(row, width)).join("\n")}`,
    `${text("subcommands (telepresence SUBCOMMAND --help tells more):")}\n${
      toldSubcommands().map(([name, { help }]) => row(`  ${name}`, `${help[0]?.toUpperCase()}${help.slice(1)}.`, width))
        .join("\n")
    }`,
    text(
      "Standard input, output and exit status are the command's own; what telepresence says goes to the standard " +
        "error, marked with T:. One thing is left behind, the session's log: telepresence.log in the current " +
        "directory, readable by you alone; where that cannot be written, it goes to ~/.local/state/telepresence.",
    ),
    `exit status:\n${EXIT_CODES.map(([code, words]) => row(`  ${code}`, words, width)).join("\n")}`,
    text(
      `Options of Telepresence 1 that are not built yet: ${ROWS.filter(isLater).map(({ long }) => long).join(", ")}. ` +
        "Each says what works instead.",
    ),
  ].join("\n\n") + "\n";
}

/** Command lines to begin with, and what each does. */
export const EXAMPLES: readonly (readonly [string, string])[] = [
  [
    'Ask the Service "helloworld" in the namespace "default", as a pod would:',
    "telepresence --run curl http://helloworld.default",
  ],
  [
    'Let the cluster reach a web server on this machine, under the name "myserver" and at port 80:',
    "telepresence --new-deployment myserver --expose 8080:80 --run python3 -m http.server 8080",
  ],
  ["Work in a shell whose commands are in the cluster:", "telepresence --run-shell"],
  [
    "Choose the cluster and the namespace; both stand before --run:",
    "telepresence --context staging --namespace shop --run ./server --port 8080",
  ],
];

/** Exit codes, and when. */
export const EXIT_CODES: readonly (readonly [string, string])[] = [
  ["the command's own", "when the command ended the session"],
  ["255", "telepresence failed, or lost the cluster"],
  ["2", "the command line has no meaning, or one that is not built yet"],
  ["1", "a bug in telepresence, which is said so"],
  ["129, 130, 143", "after SIGHUP, Ctrl-C and SIGTERM, unless the command chose another code"],
];

function describe(flag: Option, width: number): string {
  const forms = [flag.long, ...(flag.short === undefined ? [] : [flag.short])].map((form) => formOf(flag, form));
  const left = `  ${forms.join(", ")}`;
  return row(left.length <= width ? left : `  ${forms.join(",\n  ")}`, flag.help, width);
}

function formOf(flag: Option, form: string): string {
  return flag.value === undefined ? form : `${form} ${flag.value}`;
}

/** Two columns: what it is, and beside or below it what it does. */
function row(left: string, right: string, width: number): string {
  const column = width < ROOMY ? NARROW_HELP_COLUMN : HELP_COLUMN;
  const lines = wrap(right, width - column).map((line) => " ".repeat(column) + line);
  if (left.length > column - 2) return [left, ...lines].join("\n");
  return left + lines.join("\n").slice(left.length);
}
