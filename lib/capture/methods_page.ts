import { CARRIED, CHOICES, METHOD_FACTS, METHODS } from "./choose.ts";

/** What forbids user namespaces, as namespace/probe.ts finds it. */
const FORBIDDEN = [
  ["what forbids it", "what allows it"],
  ["AppArmor (Ubuntu 24.04 and later)", "`sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`"],
  [
    "`kernel.unprivileged_userns_clone` is 0 (older Debian, hardened kernels)",
    "`sudo sysctl -w kernel.unprivileged_userns_clone=1`",
  ],
  ["`user.max_user_namespaces` is 0", "`sudo sysctl -w user.max_user_namespaces=10000`"],
  ["a container's engine", "`--cap-add SYS_ADMIN`, or telepresence outside of the container"],
];

/** The page docs/methods.md, from the tables in the code: `tools/write_methods_page.ts` writes it, a test compares. */
export function methodsPage(): string {
  const list = (lines: readonly string[]) => lines.map((line) => `- ${line}`).join("\n");
  const methods = METHODS.map((name) => {
    const { what, carries, limits } = METHOD_FACTS[name];
    return `## \`--method ${name}\`\n\n${what}.\n\nIt carries:\n\n${list(carries)}\n\nIts limits:\n\n${list(limits)}`;
  });
  const choices = table([
    ["this machine", "the command", "method", "because"],
    ...CHOICES.map(({ machine, command, method, reason }) => [machine, command, method, reason]),
  ]);
  return `# Methods: how a command's connections reach the cluster

<!-- Written by tools/write_methods_page.ts from lib/capture/choose.ts -->

A method is chosen before the command starts. Without \`--method\`, the first row that fits decides, and the session's
first line says which and why:

${choices}

Nothing goes around the pod in silence: a command that a method cannot carry is refused before anything is made in the
cluster, with the method that can.

${methods.join("\n\n")}

## Which carries what

${carriedTable()}

## Where namespaces are forbidden

\`--method namespace\` needs no root, but the system must let users make user namespaces. Where it does not, the error
names what forbids it:

${table(FORBIDDEN)}

\`container\` is a word of Telepresence 1 that is not built yet.
`;
}

/** Which method carries what; docs/proxying.md has it too. */
export function carriedTable(): string {
  const head = ["", ...METHODS.map((name) => `\`${name}\``)];
  return table([head, ...Object.entries(CARRIED).map(([what, words]) => [what, ...words])]);
}

/** A table as `deno fmt` has it: columns of one width. The first row is its head. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]) => `| ${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(" | ")} |`;
  const [head = [], ...body] = rows;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...body.map(line)].join("\n");
}
