/**
 * The packets of SFTP, protocol 3, with the extensions of OpenSSH that we speak; `sftp.md` is the protocol as we serve
 * it. Bytes in, packets out: nothing here knows a file system.
 *
 * Sources: draft-ietf-secsh-filexfer-02 (the sections are beside each constant) and OpenSSH's PROTOCOL, section 4.
 *
 * @module
 */

/** Types of packets (section 3). */
export const SFTP = {
  INIT: 1,
  VERSION: 2,
  OPEN: 3,
  CLOSE: 4,
  READ: 5,
  WRITE: 6,
  LSTAT: 7,
  FSTAT: 8,
  SETSTAT: 9,
  FSETSTAT: 10,
  OPENDIR: 11,
  READDIR: 12,
  REMOVE: 13,
  MKDIR: 14,
  RMDIR: 15,
  REALPATH: 16,
  STAT: 17,
  RENAME: 18,
  READLINK: 19,
  SYMLINK: 20,
  STATUS: 101,
  HANDLE: 102,
  DATA: 103,
  NAME: 104,
  ATTRS: 105,
  EXTENDED: 200,
  EXTENDED_REPLY: 201,
} as const;

/** Codes of a STATUS (section 7). */
export const STATUS = {
  OK: 0,
  EOF: 1,
  NO_SUCH_FILE: 2,
  PERMISSION_DENIED: 3,
  FAILURE: 4,
  BAD_MESSAGE: 5,
  /** What no server says, but a client to itself. */
  CONNECTION_LOST: 7,
  OP_UNSUPPORTED: 8,
  /** Of later drafts (draft-ietf-secsh-filexfer-13, section 9.1): a client that does not know it sees that it failed. */
  NO_SPACE: 14,
} as const;
/** A code of a STATUS. */
export type Status = typeof STATUS[keyof typeof STATUS];

/** Flags of OPEN (section 6.3). */
export const OPEN = { READ: 1, WRITE: 2, APPEND: 4, CREATE: 8, TRUNCATE: 16, EXCLUSIVE: 32 } as const;

/** Which fields an ATTRS has (section 5). */
const ATTRIBUTE = { SIZE: 1, IDS: 2, MODE: 4, TIMES: 8, EXTENDED: 0x80000000 } as const;

/** Names of the extensions that we speak, with the version that each has. */
export const EXTENSIONS = [
  ["posix-rename@openssh.com", "1"],
  ["statvfs@openssh.com", "2"],
  ["fstatvfs@openssh.com", "2"],
  ["hardlink@openssh.com", "1"],
  ["fsync@openssh.com", "1"],
  ["open-and-read@telepresence", "1"],
] as const;

/** The one that is ours (`sftp.md`, "Opening and reading at once"). */
export const OPEN_AND_READ = "open-and-read@telepresence";

/** The protocol's version. */
export const SFTP_VERSION = 3;
/** The longest packet that is taken, OpenSSH's own limit: a length beyond it allocates nothing. */
export const MAX_PACKET_BYTES = 256 * 1024;

/** The peer sent what is no SFTP; the connection cannot go on. */
export class SftpError extends Error {
  override readonly name = "SftpError";
}

/** Attributes of a file; what is not there is not said. Sizes in bytes, times in seconds since 1970. */
export interface Attributes {
  readonly size?: number;
  readonly ids?: { readonly user: number; readonly group: number };
  /** Permissions and, on the way to the host, the type of the file: `st_mode`. */
  readonly mode?: number;
  readonly times?: { readonly accessed: number; readonly modified: number };
}

/** A packet, its length taken off. */
export interface Packet {
  readonly type: number;
  readonly body: Uint8Array;
}

/** Cuts bytes into packets, however they come. What is complete in what comes is not copied. */
export class PacketReader {
  /** A packet of which not all has come, with its length in front; it grows to what that says. */
  #held = new Uint8Array(1024);
  #heldBytes = 0;
  /** The other one of two: a packet that was given out lies in it, or nothing. */
  #spare = new Uint8Array(1024);

  /**
   * Takes bytes, and gives the packets that are complete. They are views of `bytes`, or of memory of the reader's: valid
   * until the caller writes to the former or pushes again.
   *
   * @throws {SftpError} at a length that no packet may have
   */
  push(bytes: Uint8Array): Packet[] {
    const packets: Packet[] = [];
    let offset = 0;
    if (this.#heldBytes > 0) {
      offset = this.#hold(bytes, 4);
      if (this.#heldBytes < 4) return packets;
      const whole = wholeLength(this.#held);
      offset += this.#hold(bytes.subarray(offset), whole);
      if (this.#heldBytes < whole) return packets;
      packets.push(packetIn(this.#held, 0, whole));
      this.#heldBytes = 0;
    }
    while (bytes.length - offset >= 4) {
      const whole = wholeLength(bytes.subarray(offset));
      if (bytes.length - offset < whole) break;
      packets.push(packetIn(bytes, offset, offset + whole));
      offset += whole;
    }
    // What is held now may not overwrite a packet that was given out from there.
    if (offset < bytes.length) {
      if (packets[0]?.body.buffer === this.#held.buffer) [this.#held, this.#spare] = [this.#spare, this.#held];
      this.#hold(bytes.subarray(offset), Infinity);
    }
    return packets;
  }

  /** Holds of `bytes` as much as is missing to `wanted`. @returns how much that is */
  #hold(bytes: Uint8Array, wanted: number): number {
    const count = Math.max(0, Math.min(bytes.length, wanted - this.#heldBytes));
    const needed = this.#heldBytes + count;
    if (needed > this.#held.length) {
      const grown = new Uint8Array(Math.max(needed, Math.min(2 * needed, 4 + MAX_PACKET_BYTES)));
      grown.set(this.#held.subarray(0, this.#heldBytes));
      this.#held = grown;
    }
    this.#held.set(bytes.subarray(0, count), this.#heldBytes);
    this.#heldBytes = needed;
    return count;
  }

  /** Whether the end may come now: nothing of a packet is held. */
  get isBetweenPackets(): boolean {
    return this.#heldBytes === 0;
  }
}

/** How long the packet is that begins here, its length included. @throws {SftpError} when none may be */
function wholeLength(bytes: Uint8Array): number {
  const length = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0);
  if (length < 1 || length > MAX_PACKET_BYTES) throw new SftpError(`A packet of ${length} bytes`);
  return 4 + length;
}

function packetIn(bytes: Uint8Array, start: number, end: number): Packet {
  return { type: bytes[start + 4] ?? 0, body: bytes.subarray(start + 5, end) };
}

/** Reads the fields of a packet one after another. */
export class FieldReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** @throws {SftpError} when the packet ends before the field does */
  #take(length: number): number {
    const at = this.#offset;
    if (this.#bytes.length - at < length) throw new SftpError("A packet that ends in the middle of a field");
    this.#offset += length;
    return at;
  }

  /** A number of 32 bits. */
  uint32(): number {
    return this.#view.getUint32(this.#take(4));
  }

  /** A 64-bit number, as far as numbers here go (2^53): no file is larger. @throws {SftpError} beyond */
  uint64(): number {
    const value = this.#view.getBigUint64(this.#take(8));
    if (value > Number.MAX_SAFE_INTEGER) throw new SftpError(`An offset or a size of ${value}`);
    return Number(value);
  }

  /** A string as bytes, a view of the packet. */
  bytes(): Uint8Array {
    const length = this.uint32();
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  /** A string that is text. @throws {TypeError} when it is not UTF-8 */
  text(): string {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(this.bytes());
  }

  /** An ATTRS; what an extension adds is passed over. */
  attributes(): Attributes {
    const flags = this.uint32();
    const attributes: Attributes = {
      ...(flags & ATTRIBUTE.SIZE && { size: this.uint64() }),
      ...(flags & ATTRIBUTE.IDS && { ids: { user: this.uint32(), group: this.uint32() } }),
      ...(flags & ATTRIBUTE.MODE && { mode: this.uint32() }),
      ...(flags & ATTRIBUTE.TIMES && { times: { accessed: this.uint32(), modified: this.uint32() } }),
    };
    if (flags & ATTRIBUTE.EXTENDED) {
      for (let count = this.uint32(); count > 0; count--) [this.bytes(), this.bytes()];
    }
    return attributes;
  }

  /** Whether there is anything left. */
  get isAtEnd(): boolean {
    return this.#offset === this.#bytes.length;
  }
}

/** Writes packets one after another into one piece of memory that grows, and is used again after {@linkcode take}. */
export class PacketWriter {
  #bytes = new Uint8Array(1024);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;
  #packet = 0;

  /** How much was written. */
  get length(): number {
    return this.#length;
  }

  #room(length: number): number {
    const at = this.#length;
    this.#length += length;
    if (this.#length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#length, 2 * this.#bytes.length));
      grown.set(this.#bytes.subarray(0, at));
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    return at;
  }

  /** Begins a packet; {@linkcode end} ends it. */
  begin(type: number): this {
    this.#packet = this.#room(5);
    this.#bytes[this.#packet + 4] = type;
    return this;
  }

  /** Ends a packet: its length is known now. */
  end(): this {
    this.#view.setUint32(this.#packet, this.#length - this.#packet - 4);
    return this;
  }

  /** Writes a number of 32 bits. */
  uint32(value: number): this {
    const at = this.#room(4); // which may be other memory than before
    this.#view.setUint32(at, value);
    return this;
  }

  /** Writes a number of 64 bits. */
  uint64(value: number | bigint): this {
    const at = this.#room(8);
    this.#view.setBigUint64(at, BigInt(value));
    return this;
  }

  /** Writes a string. */
  bytes(bytes: Uint8Array): this {
    return this.uint32(bytes.length).raw(bytes);
  }

  /** Writes bytes as they are: fields of another packet, or the content of a string whose length is written. */
  raw(bytes: Uint8Array): this {
    const at = this.#room(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }

  /** Writes a string that is text. */
  text(text: string): this {
    return this.bytes(new TextEncoder().encode(text));
  }

  /** Writes an ATTRS. */
  attributes({ size, ids, mode, times }: Attributes): this {
    this.uint32(
      (size === undefined ? 0 : ATTRIBUTE.SIZE) | (ids === undefined ? 0 : ATTRIBUTE.IDS) |
        (mode === undefined ? 0 : ATTRIBUTE.MODE) | (times === undefined ? 0 : ATTRIBUTE.TIMES),
    );
    if (size !== undefined) this.uint64(size);
    if (ids !== undefined) this.uint32(ids.user).uint32(ids.group);
    if (mode !== undefined) this.uint32(mode);
    if (times !== undefined) this.uint32(times.accessed).uint32(times.modified);
    return this;
  }

  /** Gives what was written, and begins anew: the bytes are the caller's until something is written again. */
  take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.#length);
    this.#length = 0;
    return taken;
  }
}
