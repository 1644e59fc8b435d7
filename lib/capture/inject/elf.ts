/**
 * What an ELF file says of itself, as far as preloading is concerned: the machine, the loader, the language.
 *
 * Sources: elf(5); "Executable and Linking Format", version 1.2; Go's `cmd/internal/buildid` for its note.
 */

/** The parts of an ELF program that decide whether a library can be preloaded into it. */
export interface Elf {
  /** Whether it is a 64-bit, little-endian program, as everything that we make shims for. */
  readonly wide: boolean;
  /** `e_machine`, one of {@linkcode MACHINES} for what we know. */
  readonly machine: number;
  /** Path of its loader (PT_INTERP); undefined for a static program. */
  readonly loader?: string;
  /** Whether the Go toolchain made it: it has Go's build-id note. */
  readonly go: boolean;
}

/** `e_machine` of the architectures that we know, by their names in Deno. */
export const MACHINES = { x86_64: 62, aarch64: 183 } as const;

/** Reads up to `length` bytes of a file from `offset`; fewer at its end. */
export type ReadAt = (offset: number, length: number) => Promise<Uint8Array<ArrayBuffer>>;

const PT_INTERP = 3;
const PT_NOTE = 4;
/** `e_ehsize` of a 64-bit file. */
const HEADER_BYTES = 64;
/** `e_phentsize` of a 64-bit file. */
const SEGMENT_BYTES = 56;
/** Bounds for what a broken file may make us read. */
const MOST_SEGMENTS = 512;
const MOST_BYTES = 64 * 1024;

/** Reads what an ELF file says of itself; undefined when it is none, or is cut off. */
export async function readElf(readAt: ReadAt): Promise<Elf | undefined> {
  const header = await readAt(0, HEADER_BYTES);
  if (header.length < 20 || header[0] !== 0x7f || header[1] !== 0x45 || header[2] !== 0x4c || header[3] !== 0x46) {
    return undefined;
  }
  const little = header[5] === 1;
  const view = viewOf(header);
  const machine = view.getUint16(18, little);
  if (header[4] !== 2 || !little) return { wide: false, machine, go: false };
  if (header.length < HEADER_BYTES) return undefined;
  const offset = Number(view.getBigUint64(32, true));
  const count = Math.min(view.getUint16(56, true), MOST_SEGMENTS);
  const table = viewOf(await readAt(offset, count * SEGMENT_BYTES));

  let loader: string | undefined;
  let go = false;
  for (let at = 0; at + SEGMENT_BYTES <= table.byteLength; at += SEGMENT_BYTES) {
    const type = table.getUint32(at, true);
    if (type !== PT_INTERP && type !== PT_NOTE) continue;
    const length = Math.min(Number(table.getBigUint64(at + 32, true)), MOST_BYTES);
    const content = await readAt(Number(table.getBigUint64(at + 8, true)), length);
    if (type === PT_INTERP) loader = new TextDecoder().decode(content).replace(/\0.*$/s, "");
    else go ||= hasGoNote(content);
  }
  return { wide: true, machine, go, ...(loader === undefined ? {} : { loader }) };
}

/** Notes are name size, content size, type, then name and content, each padded to four bytes. */
function hasGoNote(notes: Uint8Array<ArrayBuffer>): boolean {
  const view = viewOf(notes);
  const padded = (size: number) => Math.ceil(size / 4) * 4;
  for (let at = 0; at + 12 <= notes.length;) {
    const nameBytes = view.getUint32(at, true);
    const name = new TextDecoder().decode(notes.subarray(at + 12, at + 12 + Math.min(nameBytes, 16)));
    if (name.startsWith("Go\0")) return true;
    at += 12 + padded(nameBytes) + padded(view.getUint32(at + 4, true));
  }
  return false;
}

function viewOf(bytes: Uint8Array<ArrayBuffer>): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
