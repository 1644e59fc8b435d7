/**
 * Pages of `docs/` as a terminal shows them. Markdown is readable as it is, but for comments, links and table rules; and
 * its lines are as long as those of the sources, which a narrow terminal would cut between letters.
 *
 * @module
 */
import { wrap } from "./_wrap.ts";

/** Where no line may be changed: what stands between fences is to be copied, or drawn. */
const FENCED = /^```.*?^```$/gms;

/**
 * A page's text.
 *
 * @param columns how wide the terminal is; the lines stay as they are where there is none, or it is wide enough
 */
export function plainPage(page: string, columns?: number): string {
  const text = page
    .replace(/<!--.*?-->\n*/gs, "")
    .replace(/\[([^\]]+)\]\(([^)]+)\)/g, (_, words: string, to: string) => words === to ? to : `${words} (${to})`);
  const width = columns ?? Infinity;
  const parts: string[] = [];
  let at = 0;
  for (const fenced of text.matchAll(FENCED)) {
    parts.push(flow(text.slice(at, fenced.index), width), fenced[0]);
    at = fenced.index + fenced[0].length;
  }
  return [...parts, flow(text.slice(at), width)].join("");
}

/** Paragraphs, list items and tables, each made as wide as it may be. */
function flow(text: string, width: number): string {
  return text.split(/(\n{2,})/).map((block) => {
    if (block.startsWith("|")) return table(block, width);
    if (block.split("\n").every((line) => line.length <= width)) return block;
    // A line that begins an item ends the one before it; every other one goes on with it.
    const [, lead = ""] = /^(\n*)/.exec(block) ?? [];
    const items = block.slice(lead.length).split(/\n(?=\s*(?:- |\d+\. |!\[))/);
    return lead + items.map((item) => hang(item.split("\n").map((line) => line.trim()).join(" "), width)).join("\n");
  }).join("");
}

/** An item with its text beside its mark. */
function hang(item: string, width: number): string {
  const [mark = ""] = /^(?:- |\d+\. )/.exec(item) ?? [];
  const lines = wrap(item.slice(mark.length), width - mark.length);
  return lines.map((line, index) => (index === 0 ? mark : " ".repeat(mark.length)) + line).join("\n");
}

/** A table; where it is too wide, each row as an entry of its own, which is also how it is read aloud. */
function table(block: string, width: number): string {
  const [head = "", ...rows] = block.trimEnd().split("\n").filter((line) => !/^\|[ |:-]+\|$/.test(line));
  const end = block.endsWith("\n") ? "\n" : "";
  const lines = [head, ...rows];
  if (lines.every((line) => line.length <= width)) return lines.join("\n") + end;
  const names = cellsOf(head);
  return rows.map((row) =>
    cellsOf(row).flatMap((cell, column) => {
      if (cell === "") return [];
      const name = names[column] ?? "";
      const indent = column === 0 ? "" : "  ";
      return wrap(`${indent}${name === "" ? "" : `${name}: `}${cell}`, width);
    }).join("\n")
  ).join("\n\n") + end;
}

function cellsOf(row: string): string[] {
  return row.replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}
