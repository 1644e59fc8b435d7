/**
 * Text whose control characters (but line ends and tabs) are spelled out: `\x1b[2J` clears no screen. So are those that
 * turn the direction of writing: what is read is what is there.
 *
 * @param lead what stands before the two digits of a character; longer numbers have `\u` in any case
 */
export function visible(text: string, lead = "\\x"): string {
  // deno-lint-ignore no-control-regex -- control characters are what this is about
  return text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g, (char) => {
    const code = char.charCodeAt(0).toString(16);
    if (char === "\r") return "";
    return code.length > 2 ? `\\u${code}` : `${lead}${code.padStart(2, "0")}`;
  });
}
