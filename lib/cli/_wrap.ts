/**
 * Text cut into lines of at most `width` characters, between words. A word that is longer stays whole, so that an
 * address or a command can be copied. The text's own lines are kept, and each one's indent on all of its parts.
 */
export function wrap(text: string, width: number): string[] {
  return text.split("\n").flatMap((line) => wrapLine(line.trimEnd(), width));
}

function wrapLine(line: string, width: number): string[] {
  if (line.length <= width) return [line];
  const indent = /^ */.exec(line)?.[0] ?? "";
  const lines: string[] = [];
  let current = "";
  for (const word of line.slice(indent.length).split(" ")) {
    const longer = current === "" ? indent + word : `${current} ${word}`;
    if (longer.length > width && current !== "") lines.push(current);
    current = longer.length > width ? indent + word : longer;
  }
  return [...lines, current];
}
