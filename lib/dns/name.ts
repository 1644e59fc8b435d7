/**
 * Domain names on the wire and as text (RFC 1035, sections 3.1, 4.1.4 and 5.1).
 *
 * As text, a name has no dot at its end, the root is the empty text, and a byte that text cannot show stands as `\DDD`.
 */
import { DnsFormatError } from "./format_error.ts";

/** Longest label (RFC 1035, section 2.3.4). */
const LABEL_BYTES = 63;
/** Longest name on the wire, its lengths and the root's zero included (RFC 1035, section 2.3.4). */
const NAME_BYTES = 255;
/** How many pointers may follow each other: a name has no more labels, and a chain of thousands costs as many reads. */
const MOST_POINTERS = 127;
/** The two high bits of a pointer (RFC 1035, section 4.1.4). */
const POINTER = 0xc0;

/**
 * Reads a name.
 *
 * @param message the whole message, as a pointer may point to any name before
 * @param at where the name begins
 * @returns the name, and where what follows it begins
 * @throws {DnsFormatError} for a name that is cut off, too long, or points forwards: so that no two names point in a loop
 */
export function decodeName(message: Uint8Array, at: number): { name: string; end: number } {
  const labels: string[] = [];
  let end: number | undefined;
  let length = 1;
  let pointers = 0;
  let lowest = at;
  for (let here = at;;) {
    const size = byteAt(message, here);
    if ((size & POINTER) === POINTER) {
      const target = (size & ~POINTER) << 8 | byteAt(message, here + 1);
      end ??= here + 2;
      if (target >= lowest) throw new DnsFormatError("a name points forwards");
      if (++pointers > MOST_POINTERS) throw new DnsFormatError("a name of too many pointers");
      lowest = here = target;
      continue;
    }
    if ((size & POINTER) !== 0) throw new DnsFormatError("a label of unknown kind");
    if (size === 0) return { name: labels.join("."), end: end ?? here + 1 };
    length += size + 1;
    if (length > NAME_BYTES) throw new DnsFormatError("a name is too long");
    if (here + 1 + size > message.length) throw new DnsFormatError("a name is cut off");
    labels.push(labelText(message.subarray(here + 1, here + 1 + size)));
    here += size + 1;
  }
}

/**
 * The labels of a name given as text.
 *
 * @throws {DnsFormatError} for a name that does not fit in a message
 */
export function labelsOf(name: string): Uint8Array<ArrayBuffer>[] {
  const plain = name.endsWith(".") && !name.endsWith("\\.") ? name.slice(0, -1) : name;
  if (plain === "") return [];
  const labels = splitLabels(plain).map(labelBytes);
  if (labels.reduce((sum, label) => sum + label.length + 1, 1) > NAME_BYTES) {
    throw new DnsFormatError("a name is too long");
  }
  return labels;
}

function splitLabels(name: string): string[] {
  return name.match(/(?:\\\d{3}|\\.|[^.\\])+|(?<=^|\.)(?=\.|$)/gsu) ?? [];
}

function labelBytes(label: string): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  for (const [whole, decimal, escaped] of label.matchAll(/\\(\d{3})|\\(.)|[^\\]/gsu)) {
    if (decimal !== undefined) bytes.push(Number(decimal) & 0xff);
    else bytes.push(...new TextEncoder().encode(escaped ?? whole));
  }
  if (bytes.length === 0 || bytes.length > LABEL_BYTES) throw new DnsFormatError("a label has 1 to 63 bytes");
  return new Uint8Array(bytes);
}

function labelText(label: Uint8Array): string {
  return Array.from(label, (byte) => {
    if (byte === 0x2e || byte === 0x5c) return `\\${String.fromCharCode(byte)}`;
    return byte > 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\${String(byte).padStart(3, "0")}`;
  }).join("");
}

function byteAt(message: Uint8Array, at: number): number {
  const byte = message[at];
  if (byte === undefined) throw new DnsFormatError("a name is cut off");
  return byte;
}
