/**
 * Reading ahead between a client and a server of SFTP, as a machine that takes packets and writes packets; `read_ahead.md`
 * says what it does and what it promises. `read_ahead_stream.ts` joins it to a connection.
 *
 * @module
 */
import {
  decodeSftpRequest,
  FieldReader,
  OPEN,
  OPEN_AND_READ,
  type Packet,
  type PacketWriter,
  SFTP,
  SftpError,
  type SftpRequest,
  STATUS,
} from "@/pod/mod.ts";
import { AskedRequests } from "./asked.ts";
import { FileAhead, type Opening, type Piece, type Read } from "./file_ahead.ts";

/** How much is asked for at a time: the agent puts together what comes together (`lib/agent/files.ts`). */
const PIECE_BYTES = 128 * 1024;
/** Files of so many bytes come as they are opened: what sshfs asks for in one READ. */
const SMALL_BYTES = 64 * 1024;
/** The most that all files together have ahead, under way or here. */
const MAX_BYTES = 16 * 1024 * 1024;
/** How long ago what answers a READ may have been asked for. */
const MAX_AGE_MS = 1000;
/** A piece that comes within so many times of the fastest answer, and this, stood in no long queue. */
const SOON = { times: 2, ms: 30 } as const;

/** Where packets go. */
export interface Ends {
  /** Gives what packets to the server are written to. */
  readonly toServer: () => PacketWriter;
  /** Gives what packets to the client are written to. */
  readonly toClient: () => PacketWriter;
  /** Milliseconds that never go back. */
  readonly now: () => number;
  /** Hears that the pod has no room for what the client wanted to write. @default {nobody does} */
  readonly full?: (refusal: Full) => void;
}

/** A change that the pod has no room for. */
export interface Full {
  /** Of the file, as the pod knows it; undefined where the client never opened it by this connection. */
  readonly path: string | undefined;
  /** `ENOSPC`, or `EDQUOT` where it is the quota. */
  readonly errno: string;
}

/** How the words of such a refusal begin (`lib/pod/sftp.md`, "Status"). */
const FULL = /^(?:ENOSPC|EDQUOT)\b/;

/** A request that is under way. */
type Asked =
  | {
    readonly for: "client";
    readonly askedAt: number;
    readonly id: number;
    readonly about: About;
    /** What it is about, if it can need room. */
    readonly path?: string | undefined;
  }
  | { readonly for: "opening"; readonly askedAt: number; readonly file: FileAhead; readonly opening: Opening }
  | { readonly for: "ahead"; readonly askedAt: number; readonly file: FileAhead; readonly piece: Piece };

/** What the answer to a request of the client's tells beside the client. */
type About =
  | undefined
  | { readonly opens: FileAhead; readonly readNumber?: number }
  | { readonly attributesOf: { readonly path: string } | { readonly file: FileAhead } }
  | { readonly linkAt: string };

/** Reads ahead for the files that a client reads from front to back. */
export class ReadAhead {
  readonly #ends: Ends;
  readonly #asked = new AskedRequests<Asked>();
  #greeted = false;
  /** Whether the server reads as it opens. */
  #opensAndReads = false;
  /** All that are open or about to be. */
  readonly #files = new Set<FileAhead>();
  readonly #byHandle = new Map<number, FileAhead>();
  /** What pieces take, those included that are under way and will be thrown away. */
  #bytes = 0;
  /** Memory of pieces that are gone, as long as a file is open. */
  #spare: Uint8Array[] = [];

  constructor(ends: Ends) {
    this.#ends = ends;
  }

  /** What pieces take of the memory that there is for them. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes a packet of the client's. @throws {SftpError} when it is none that a client sends */
  request(packet: Packet): void {
    if (packet.type === SFTP.INIT) return void this.#ends.toServer().begin(packet.type).raw(packet.body).end();
    const { id, request } = decodeSftpRequest(packet);
    if (request.ask === "read" && this.#read({ ...request, id })) return;
    if (request.ask === "open" && this.#openAndRead(packet, id, request)) return;
    this.#forward(packet, id, { about: this.#note(request), path: this.#pathOf(request) });
  }

  /** Takes a packet of the server's. @throws {SftpError} when it is no answer to what was asked */
  answer({ type, body }: Packet): void {
    if (type === SFTP.VERSION && !this.#greeted) {
      this.#greeted = true;
      this.#opensAndReads = namesOf(body).includes(OPEN_AND_READ);
      this.#ends.toClient().begin(type).raw(body).end();
      return;
    }
    const fields = new FieldReader(body);
    const asked = this.#asked.answered(fields.uint32(), this.#ends.now());
    if (asked.for === "opening") {
      return this.#openingArrived(asked.file, asked.opening, type === SFTP.DATA ? fields.bytes() : undefined);
    }
    if (asked.for === "ahead") {
      return this.#arrived(asked.file, asked.piece, type === SFTP.DATA ? fields.bytes() : undefined);
    }
    if (asked.about !== undefined && "linkAt" in asked.about) {
      if (type !== SFTP.NAME || staysInTree(asked.about.linkAt, fields)) return this.#pass(asked.id, type, body);
      const refusal = this.#ends.toClient().begin(SFTP.STATUS).uint32(asked.id).uint32(STATUS.PERMISSION_DENIED);
      return void refusal.text("The symlink leads out of the pod's files").text("").end();
    }
    this.#learn(asked.about, type, fields);
    if (type === SFTP.STATUS) this.#hear(asked.path, new FieldReader(body.subarray(4)));
    this.#pass(asked.id, type, body);
  }

  #pass(id: number, type: number, body: Uint8Array): void {
    this.#ends.toClient().begin(type).uint32(id).raw(body.subarray(4)).end();
  }

  /** Hears of a refusal that the client's protocol has no word for. */
  #hear(path: string | undefined, status: FieldReader): void {
    const { full } = this.#ends;
    if (full === undefined || status.uint32() === STATUS.OK) return;
    const [errno] = FULL.exec(new TextDecoder().decode(status.bytes())) ?? [];
    if (errno !== undefined) full({ path, errno });
  }

  #pathOf(request: SftpRequest): string | undefined {
    if ("path" in request) return request.path;
    if ("to" in request) return request.to;
    return "handle" in request ? this.#byHandle.get(request.handle)?.path : undefined;
  }

  /** Drops what a request makes untrue, before it is sent. @returns what its answer will tell */
  #note(request: SftpRequest): About {
    switch (request.ask) {
      case "open": {
        if (request.flags & ~OPEN.READ) this.#dropPath(request.path);
        const opens = new FileAhead(request.path);
        this.#files.add(opens);
        return { opens };
      }
      case "close":
        return this.#closed(request.handle);
      case "write":
      case "fsetstat":
        return this.#dropHandle(request.handle);
      case "setstat":
      case "remove":
        return this.#dropPath(request.path);
      case "rename":
      case "posix-rename":
      case "hardlink":
        return this.#dropNames(request.from, request.to);
      case "lstat":
      case "stat":
        return { attributesOf: request };
      case "readlink":
        return { linkAt: request.path };
      case "fstat": {
        const file = this.#byHandle.get(request.handle);
        return file && { attributesOf: { file } };
      }
      default:
        return undefined;
    }
  }

  /** Takes from an answer what it tells. */
  #learn(about: Exclude<About, { readonly linkAt: string }>, type: number, fields: FieldReader): void {
    if (about === undefined) return;
    if ("opens" in about) {
      const handle = type === SFTP.HANDLE ? fields.bytes() : undefined;
      if (handle?.length === 4) this.#opened(about.opens, new FieldReader(handle).uint32());
      else this.#notOpened(about.opens, about.readNumber);
    } else if (type === SFTP.ATTRS) {
      const of = about.attributesOf;
      const { size, times } = fields.attributes();
      const seen = `${size} ${times?.modified}`;
      for (const file of "file" in of ? [of.file] : this.#files) {
        if ("path" in of && file.path !== of.path) continue;
        if (file.seen !== undefined && file.seen !== seen) this.#drop(file);
        file.seen = seen;
      }
    }
  }

  /** Opens a file for reading so that it comes with its handle if it is small. @returns false when it is to be opened as ever */
  #openAndRead({ body }: Packet, id: number, { path, flags }: Extract<SftpRequest, { ask: "open" }>): boolean {
    const askedAt = this.#ends.now();
    if (!this.#opensAndReads || flags !== OPEN.READ) return false;
    if (this.#bytes + SMALL_BYTES > MAX_BYTES && !this.#makeRoom(askedAt)) return false;
    const file = new FileAhead(path);
    file.opening = { askedAt, content: undefined };
    this.#files.add(file);
    this.#bytes += SMALL_BYTES;
    const readNumber = this.#asked.add({ for: "opening", askedAt, file, opening: file.opening });
    const number = this.#asked.add({ for: "client", askedAt, id, about: { opens: file, readNumber } });
    const to = this.#ends.toServer().begin(SFTP.EXTENDED).uint32(number).text(OPEN_AND_READ);
    to.raw(body.subarray(4)).uint32(readNumber).uint32(SMALL_BYTES).end();
    return true;
  }

  #notOpened(file: FileAhead, readNumber: number | undefined): void {
    this.#files.delete(file);
    const asked = readNumber === undefined ? undefined : this.#asked.withdraw(readNumber);
    if (asked?.for === "opening") this.#openingArrived(file, asked.opening, undefined);
  }

  /** Takes what came with a handle: the whole file, or nothing. */
  #openingArrived(file: FileAhead, opening: Opening, content: Uint8Array | undefined): void {
    if (content !== undefined && content.length > SMALL_BYTES) throw new SftpError("More bytes than were asked for");
    if (file.opening !== opening) return;
    this.#dropOpening(file);
    if (content === undefined) return;
    file.opening = { ...opening, content: content.slice() };
    this.#bytes += content.length;
  }

  #dropOpening(file: FileAhead): void {
    if (file.opening !== undefined) this.#bytes -= file.opening.content?.length ?? SMALL_BYTES;
    file.opening = undefined;
  }

  /** Answers a READ from what came with the handle. The file's end is told so once: whoever asks again asks the server. */
  #readOpening(file: FileAhead, { id, offset, length }: Read): boolean {
    const { askedAt, content } = file.opening ?? {};
    if (askedAt === undefined) return false;
    if (content === undefined || askedAt < this.#ends.now() - MAX_AGE_MS || offset >= content.length || length === 0) {
      this.#dropOpening(file);
      return false;
    }
    this.#ends.toClient().begin(SFTP.DATA).uint32(id).bytes(content.subarray(offset, offset + length)).end();
    if (offset + length >= content.length) this.#dropOpening(file);
    return true;
  }

  #opened(file: FileAhead, handle: number): void {
    const other = this.#byHandle.get(handle);
    if (other !== undefined) this.#forget(other, handle); // only a server that breaks the protocol has it twice
    file.handle = handle;
    this.#byHandle.set(handle, file);
  }

  #closed(handle: number): undefined {
    const file = this.#byHandle.get(handle);
    if (file !== undefined) this.#forget(file, handle);
  }

  #forget(file: FileAhead, handle: number): void {
    this.#drop(file);
    this.#byHandle.delete(handle);
    this.#files.delete(file);
    if (this.#files.size === 0) this.#spare = [];
  }

  /** Answers a READ, or has it wait for what is under way. @returns false when the server is to be asked */
  #read(read: Read): boolean {
    const file = this.#byHandle.get(read.handle);
    if (file === undefined) return false;
    if (this.#readOpening(file, read)) return true;
    const now = this.#ends.now();
    const { goesOn, advanced } = file.sequence.take(read.offset, read.length);
    if (!goesOn) this.#drop(file);
    const covered = file.cover(read, now - MAX_AGE_MS);
    if (covered === "here") this.#answer(file, read);
    if (covered === "under way") file.waiting.push(read);
    for (const piece of file.takeOutRead()) {
      this.#fit(file, piece, false);
      this.#release(piece);
    }
    // What is to be forwarded goes first: it is wanted now.
    if (covered === "no") this.#readAtServer(read);
    if (advanced) this.#askAhead(file);
    return true;
  }

  /** Asks for as much ahead of a file's reader as its window and the memory allow. */
  #askAhead(file: FileAhead): void {
    const { handle } = file;
    if (handle === undefined || file.isAtEnd || !file.sequence.isSteady) return;
    const now = this.#ends.now();
    if (file.pieces.some(({ askedAt }) => askedAt < now - MAX_AGE_MS)) return this.#drop(file);
    if (!file.isWorthAsking) return;
    for (let next; (next = file.next(PIECE_BYTES)) !== undefined;) {
      if (this.#bytes + PIECE_BYTES > MAX_BYTES && !this.#makeRoom(now)) return;
      const piece: Piece = { ...next, askedAt: now, arrived: undefined, unread: next.length, isDropped: false };
      file.pieces.push(piece);
      this.#bytes += PIECE_BYTES;
      this.#sendRead({ handle, ...next }, { for: "ahead", askedAt: now, file, piece });
    }
  }

  /** Takes an answer to what was asked ahead: bytes, or something else, which says that there are none. */
  #arrived(file: FileAhead, piece: Piece, bytes: Uint8Array | undefined): void {
    if (bytes !== undefined && bytes.length > piece.length) throw new SftpError("More bytes than were asked for");
    if (piece.isDropped) return this.#free(piece);
    if (bytes !== undefined) {
      const memory = this.#spare.pop() ?? new Uint8Array(PIECE_BYTES);
      memory.set(bytes);
      piece.arrived = { bytes: memory, count: bytes.length };
    }
    if (bytes === undefined || bytes.length < piece.length) {
      file.isAtEnd = true;
      const isBefore = (one: Piece) => one.offset < piece.offset || one === piece && bytes !== undefined;
      for (const one of file.takeOut(isBefore)) one === piece ? this.#free(one) : this.#release(one);
    }
    const { offset, length } = piece;
    const waited = file.waiting.some((read) => read.offset < offset + length && offset < read.offset + read.length);
    this.#fit(file, piece, waited);
    this.#serveWaiting(file);
    this.#askAhead(file);
  }

  /** Answers the READs whose last piece has come; asks the server where a piece will not come. */
  #serveWaiting(file: FileAhead): void {
    const { waiting } = file;
    file.waiting = [];
    for (const read of waiting) {
      const covered = file.cover(read, -Infinity); // they were fresh when the READ came
      if (covered === "here") this.#answer(file, read);
      else if (covered === "no") this.#readAtServer(read);
      else file.waiting.push(read);
    }
  }

  #fit(file: FileAhead, piece: Piece, waited: boolean): void {
    const soonMs = SOON.times * this.#asked.fastestMs + SOON.ms;
    file.fitWindow(piece, this.#ends.now(), { waited, soonMs, oldMs: MAX_AGE_MS / 2 });
  }

  /** Throws away what is too old of other files. @returns whether there is room now */
  #makeRoom(now: number): boolean {
    for (const file of this.#files) {
      if ((file.opening?.askedAt ?? now) < now - MAX_AGE_MS) this.#dropOpening(file);
      for (const piece of file.takeOut(({ askedAt, arrived }) => !arrived || askedAt >= now - MAX_AGE_MS)) {
        this.#release(piece);
      }
    }
    return this.#bytes + PIECE_BYTES <= MAX_BYTES;
  }

  #dropPath(path: string): undefined {
    for (const file of this.#files) if (file.isNameless || file.path === path) this.#drop(file);
  }

  #dropHandle(handle: number): undefined {
    const written = this.#byHandle.get(handle);
    for (const file of this.#files) {
      if (file.isNameless || (written?.isNameless ?? true) || file.path === written?.path) this.#drop(file);
    }
  }

  /** Names have come to mean other files, or will not, which is not known yet. */
  #dropNames(...names: string[]): undefined {
    for (const file of this.#files) {
      if (!names.some((name) => file.path === name || file.path.startsWith(`${name}/`))) continue;
      file.isNameless = true;
      this.#drop(file);
    }
  }

  /** Nothing that was asked ahead so far answers a READ any more; those that wait for it are asked at the server. */
  #drop(file: FileAhead): void {
    const { waiting } = file;
    file.waiting = [];
    for (const read of waiting) this.#readAtServer(read);
    this.#dropPieces(file);
    file.restart();
  }

  #dropPieces(file: FileAhead): void {
    this.#dropOpening(file);
    for (const piece of file.takeOut(() => false)) this.#release(piece);
  }

  /** Gives the memory of a piece back; of one that is under way when it has come. */
  #release(piece: Piece): void {
    if (piece.arrived === undefined) piece.isDropped = true;
    else this.#free(piece);
  }

  #free(piece: Piece): void {
    if (piece.arrived !== undefined && this.#files.size > 0) this.#spare.push(piece.arrived.bytes);
    this.#bytes -= PIECE_BYTES;
  }

  #answer(file: FileAhead, read: Read): void {
    const to = this.#ends.toClient().begin(SFTP.DATA).uint32(read.id).uint32(read.length);
    file.copy(read, to);
    to.end();
  }

  #readAtServer(read: Read): void {
    this.#sendRead(read, { for: "client", askedAt: this.#ends.now(), id: read.id, about: undefined });
  }

  #sendRead({ handle, offset, length }: Omit<Read, "id">, asked: Asked): void {
    const to = this.#ends.toServer().begin(SFTP.READ).uint32(this.#asked.add(asked));
    to.uint32(4).uint32(handle).uint64(offset).uint32(length).end();
  }

  #forward({ type, body }: Packet, id: number, what: { about: About; path: string | undefined }): void {
    const number = this.#asked.add({ for: "client", askedAt: this.#ends.now(), id, ...what });
    this.#ends.toServer().begin(type).uint32(number).raw(body.subarray(4)).end();
  }
}

/** The extensions that a VERSION names. */
function namesOf(version: Uint8Array): string[] {
  const fields = new FieldReader(version);
  fields.uint32();
  const names: string[] = [];
  for (; !fields.isAtEnd; fields.bytes()) names.push(new TextDecoder().decode(fields.bytes()));
  return names;
}

/**
 * Whether what a symlink says leads nowhere but into the mount, wherever that is on this machine. The agent says no
 * other targets (`lib/pod/sftp.md`), but a pod may have another agent by now.
 */
function staysInTree(link: string, fields: FieldReader): boolean {
  if (fields.uint32() !== 1) return false;
  const target = new TextDecoder().decode(fields.bytes());
  const parts = target.split("/").filter((part) => part !== "" && part !== ".");
  const named = parts.findIndex((part) => part !== "..");
  const ups = named < 0 ? parts.length : named;
  const depth = link.split("/").filter((part) => part !== "").length - 1;
  return !target.startsWith("/") && ups <= depth && !parts.slice(ups).includes("..");
}
