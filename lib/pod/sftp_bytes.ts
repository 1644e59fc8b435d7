/**
 * Packets of SFTP where they lie: who passes them on looks at a few of their fields, and changes a handle in its place.
 *
 * @module
 */
import type { Duplex } from "@/util/mod.ts";
import { MAX_PACKET_BYTES, OPEN, OPEN_AND_READ, PacketWriter, SFTP, SftpError } from "./sftp.ts";

/** Where the fields of a packet are, its length counted in: length, type, id, and the first of its own. */
export const AT = { type: 4, id: 5, field: 9 } as const;
/** Requests whose first field is a handle. */
const WITH_HANDLE: ReadonlySet<number> = new Set(
  [SFTP.CLOSE, SFTP.READ, SFTP.WRITE, SFTP.FSTAT, SFTP.FSETSTAT, SFTP.READDIR],
);
/** Extensions whose second field is one. */
const EXTENDED_WITH_HANDLE: ReadonlySet<string> = new Set(["fstatvfs@openssh.com", "fsync@openssh.com"]);
/** Requests that change nothing. */
const LOOKS: ReadonlySet<number> = new Set(
  [SFTP.LSTAT, SFTP.STAT, SFTP.FSTAT, SFTP.READ, SFTP.READLINK, SFTP.REALPATH, SFTP.OPENDIR],
);

/** Where the handle of a request is, if it has one. */
export function handleIn(type: number, packet: Uint8Array): number | undefined {
  if (WITH_HANDLE.has(type)) return AT.field + 4;
  return EXTENDED_WITH_HANDLE.has(extensionOf(type, packet)) ? afterText(packet) + 4 : undefined;
}

/** Whether another server may be asked the same, though nobody knows whether the one before it has done it. */
export function mayBeRepeated(type: number, packet: Uint8Array): boolean {
  const open = openIn(type, packet);
  if (open !== undefined) return (flagsOf(open) & OPEN.EXCLUSIVE) === 0;
  return LOOKS.has(type) || extensionOf(type, packet) === "statvfs@openssh.com";
}

/** The OPEN that a request is, as a packet of its own: itself, or without the READ that comes with it (`sftp.md`). */
export function openIn(type: number, packet: Uint8Array): Uint8Array | undefined {
  if (type === SFTP.OPEN) return packet.slice();
  if (extensionOf(type, packet) !== OPEN_AND_READ) return undefined;
  const id = viewOf(packet).getUint32(AT.id);
  const fields = packet.subarray(afterText(packet), packet.length - 8);
  return new PacketWriter().begin(SFTP.OPEN).uint32(id).raw(fields).end().take();
}

/** The path of an OPEN. */
export function pathIn(packet: Uint8Array): Uint8Array {
  return packet.subarray(AT.field + 4, afterText(packet));
}

/** The flags of an OPEN. */
export function flagsOf(packet: Uint8Array): number {
  return viewOf(packet).getUint32(afterText(packet));
}

function extensionOf(type: number, packet: Uint8Array): string {
  if (type !== SFTP.EXTENDED) return "";
  return new TextDecoder().decode(packet.subarray(AT.field + 4, afterText(packet)));
}

/** Where the field begins that follows a first one of text. */
function afterText(packet: Uint8Array): number {
  return AT.field + 4 + viewOf(packet).getUint32(AT.field);
}

/** Bytes as numbers are read from them. */
export function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

/** The packets that bytes are, whole ones; a VERSION and an INIT have no id. */
export function* packetsIn(bytes: Uint8Array): Generator<{ type: number; id: number; start: number; end: number }> {
  const view = viewOf(bytes);
  for (let start = 0, end; start < bytes.length; start = end) {
    end = start + 4 + view.getUint32(start);
    yield {
      type: bytes[start + AT.type] ?? 0,
      id: end - start < AT.field ? 0 : view.getUint32(start + AT.id),
      start,
      end,
    };
  }
}

/**
 * Reads whole packets, as many at a time as there are. Each piece is good until the next one is asked for.
 *
 * @throws {SftpError} at a length that no packet may have
 */
export async function* wholePackets(duplex: Duplex): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(2 * (4 + MAX_PACKET_BYTES));
  let held = 0;
  for (let count; (count = await duplex.read(buffer.subarray(held))) !== null;) {
    held += count;
    const whole = wholeBytes(buffer.subarray(0, held));
    if (whole === 0) continue;
    yield buffer.subarray(0, whole);
    buffer.copyWithin(0, whole, held);
    held -= whole;
  }
}

/** How many bytes the packets have that are complete. @throws {SftpError} at a length that none may have */
export function wholeBytes(bytes: Uint8Array): number {
  const view = viewOf(bytes);
  let whole = 0;
  while (bytes.length - whole >= 4) {
    const length = view.getUint32(whole);
    if (length < 1 || length > MAX_PACKET_BYTES) throw new SftpError(`A packet of ${length} bytes`);
    if (bytes.length - whole < 4 + length) break;
    whole += 4 + length;
  }
  return whole;
}
