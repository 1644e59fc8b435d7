/**
 * Console blocks of Markdown pages, as tests run them (CONTRIBUTING.md, "Console blocks").
 *
 * @module
 */

/** One command of a block, and what is to be seen after it. */
export interface Command {
  /** Its first line in the page, counted from 1. */
  readonly line: number;
  /** What a shell runs. */
  readonly words: string;
  /** What it says, with `...` for what varies; undefined where the page shows nothing. */
  readonly says: string | undefined;
}

/** A block of a page. */
export interface Block {
  readonly line: number;
  readonly commands: readonly Command[];
  /** Why it is not run. */
  readonly notRun?: string;
  /** Whether its last command goes on while the rest of the page is run. */
  readonly stays: boolean;
}

/** A page's blocks, and what is made before them. */
export interface Page {
  readonly blocks: readonly Block[];
  /** Commands that are not shown, run at the beginning. */
  readonly before: readonly string[];
}

/** Reads the blocks of a page. @throws when a block has no command, or a comment stands before no block */
export function readPage(text: string): Page {
  const blocks: Block[] = [];
  const before = [...text.matchAll(/^<!-- before: (.*?) -->$/gms)].map(([, words = ""]) => words);
  const lines = text.split("\n");
  let notRun: string | undefined;
  let stays = false;
  for (let at = 0; at < lines.length; at++) {
    const [, why] = /^<!-- not run: (.*) -->$/.exec(lines[at] ?? "") ?? [];
    if (why !== undefined) notRun = why;
    if (lines[at] === "<!-- stays -->") stays = true;
    if (lines[at] !== "```console") {
      const isBetween = lines[at] === "" || lines[at]?.startsWith("<!--");
      if (!isBetween && (notRun !== undefined || stays)) throw new Error(`line ${at + 1}: no console block follows`);
      continue;
    }
    const line = at + 1;
    const end = lines.indexOf("```", at);
    const commands = readCommands(lines.slice(at + 1, end), line + 1);
    if (commands.length === 0) throw new Error(`line ${line}: a console block without a command ("$ ...")`);
    blocks.push({ line, commands, stays, ...(notRun !== undefined && { notRun }) });
    [notRun, stays, at] = [undefined, false, end];
  }
  return { blocks, before };
}

function readCommands(lines: readonly string[], first: number): Command[] {
  const commands: { line: number; words: string; says: string[] }[] = [];
  lines.forEach((line, index) => {
    const last = commands.at(-1);
    if (line.startsWith("$ ")) commands.push({ line: first + index, words: line.slice(2), says: [] });
    else if (last?.words.endsWith("\\") && last.says.length === 0) last.words += `\n${line}`;
    else last?.says.push(line);
  });
  return commands.map(({ line, words, says }) => ({
    line,
    words: words.replace(/ {2,}#.*$/, ""),
    says: says.length === 0 ? undefined : says.join("\n"),
  }));
}

/** What matches that output: `...` is anything within a line, and on a line of its own any lines, or none. */
export function patternOf(says: string): RegExp {
  const lines = says.trimEnd().split("\n").map((line) => {
    if (line.trim() === "...") return "(?:[^\\n]*\\n)*?";
    return `${line.split("...").map((part) => part.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")).join("[^\\n]*")}[ \\t]*\\n`;
  });
  return new RegExp(`^${lines.join("")}$`);
}
