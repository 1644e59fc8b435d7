/**
 * The files of a pod for a client that outlives it: one connection of SFTP after another, which the client takes for
 * one.
 *
 * Theory of operation. A mount cannot be made again where it was: whoever stands in it, and every other mount namespace
 * in which it was laid over a path, keeps the old one. So the client (sshfs, for one) goes on and does not hear that
 * another server answers. Only whole packets pass, both ways: no server gets the rest of what another one was sent, no
 * client half an answer. What the client asks while there is no server waits, as everything does that is asked of a pod.
 *
 * Files that were open are opened again in the next pod, by their paths: those of a persistent volume are the same ones.
 * Handles are numbers of each server's own (`sftp.md`), and the client has others for them; so a file that is not there
 * in the next pod is never taken for another one. What is asked of it is answered CONNECTION_LOST (the draft, section 7:
 * what a client says to itself). So is what the lost server had not answered, where that changes something: nobody knows
 * whether a RENAME was done. What only looks or opens is asked again.
 *
 * @module
 */
import { closeQuietly, type Duplex, writeAll } from "@/util/mod.ts";
import { MAX_PACKET_BYTES, OPEN, PacketWriter, SFTP, SFTP_VERSION, SftpError, STATUS } from "./sftp.ts";
import {
  AT,
  flagsOf,
  handleIn,
  mayBeRepeated,
  openIn,
  packetsIn,
  pathIn,
  viewOf,
  wholeBytes,
  wholePackets,
} from "./sftp_bytes.ts";

/** A server of a connection, and how far it is asked. */
export interface FileServer {
  readonly duplex: Duplex;
  /** Its answers, some whole packets at a time. */
  readonly answers: AsyncGenerator<Uint8Array>;
  /** What it has been asked and has not answered, by the requests' ids. */
  readonly asked: Map<number, Asked>;
  /** Its VERSION, where the client did not greet it itself. */
  readonly version?: Uint8Array;
}

/** What is to be known of a request that is under way. */
interface Asked {
  /** The packet as the client sent it, where another server may be asked the same. */
  readonly packet?: Uint8Array | undefined;
  /** The packet of an OPEN. */
  readonly open?: Uint8Array | undefined;
  /** Whether it is of a file that went with its pod. */
  readonly isStale?: boolean;
  /** How many servers were lost over it. */
  readonly losses?: number;
}

/** What the client has open. */
interface Handle {
  readonly server: FileServer;
  /** The server's own name for it. */
  readonly number: number;
  /** The packet that opened it; undefined for a directory. */
  readonly open: Uint8Array | undefined;
}

const ONCE: Asked = {};
const STALE: Asked = { isStale: true };
/** What so many servers did not survive is not asked of another one. */
const MOST_LOSSES = 3;
/** In the place of an id: INIT has none. */
const GREETING = -1;
/** No server gives it out. */
const NO_HANDLE = 0;

/** What lasting needs to know of its client. */
export interface LastingFilesOptions {
  /** Whether a READ of a file that went with its pod ends the connection, instead of being refused. @default {false} */
  readonly endsWithLostRead?: boolean;
}

/**
 * Makes one connection of a first one and those that follow it.
 *
 * @param first a connection whose client is still to say INIT
 * @param next greets the server of the pod that comes after a lost one; what it throws is the end, as `read` tells
 */
export function openLastingFiles(
  first: Duplex,
  next: (signal: AbortSignal) => Promise<FileServer>,
  options: LastingFilesOptions = {},
): Duplex {
  return new LastingFiles(first, next, options);
}

/**
 * Greets a server, in the place of the client.
 *
 * @throws {SftpError} when it is none, or what the connection throws, which is closed then
 */
export async function greetFileServer(duplex: Duplex, signal: AbortSignal): Promise<FileServer> {
  const answers = wholePackets(duplex);
  const stop = () => closeQuietly(duplex);
  signal.addEventListener("abort", stop, { once: true });
  try {
    signal.throwIfAborted();
    await writeAll(duplex, new PacketWriter().begin(SFTP.INIT).uint32(SFTP_VERSION).end().take());
    const { value, done } = await answers.next();
    if (done || value[AT.type] !== SFTP.VERSION) throw new SftpError("The next server does not greet");
    return { duplex, answers, asked: new Map(), version: value.slice() };
  } catch (error) {
    stop();
    throw error;
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

class LastingFiles implements Duplex {
  readonly #next: (signal: AbortSignal) => Promise<FileServer>;
  readonly #endsWithLostRead: boolean;
  readonly #ending = new AbortController();
  readonly #answers: AsyncGenerator<Uint8Array>;
  /** The part of an answer that was not read yet. */
  #unread: Uint8Array = new Uint8Array();
  /** Requests, of the last of which not all may have come. */
  readonly #requests = new Uint8Array(2 * (4 + MAX_PACKET_BYTES));
  #requestBytes = 0;
  /** Whom requests go to; rejects when there will be nobody. */
  #server: Promise<FileServer>;
  /** The same, while there is one. */
  #present: FileServer | undefined;
  /** What is open, by the client's names. */
  readonly #handles = new Map<number, Handle>();
  #lastHandle = 0;
  /** Set by `closeWrite` and `close`: a server that ends is no loss then. */
  #isEnded = false;

  constructor(
    first: Duplex,
    next: (signal: AbortSignal) => Promise<FileServer>,
    { endsWithLostRead = false }: LastingFilesOptions,
  ) {
    this.#next = next;
    this.#endsWithLostRead = endsWithLostRead;
    this.#present = { duplex: first, answers: wholePackets(first), asked: new Map() };
    this.#server = Promise.resolve(this.#present);
    this.#answers = this.#answer(this.#present);
  }

  async read(into: Uint8Array): Promise<number | null> {
    while (this.#unread.length === 0) {
      const { value, done } = await this.#answers.next();
      if (done) return null;
      this.#unread = value;
    }
    const count = Math.min(into.length, this.#unread.length);
    into.set(this.#unread.subarray(0, count));
    this.#unread = this.#unread.subarray(count);
    return count;
  }

  async write(bytes: Uint8Array): Promise<number> {
    const taken = bytes.subarray(0, this.#requests.length - this.#requestBytes);
    this.#requests.set(taken, this.#requestBytes);
    this.#requestBytes += taken.length;
    const whole = wholeBytes(this.#requests.subarray(0, this.#requestBytes));
    if (whole === 0) return taken.length;
    const packets = this.#requests.subarray(0, whole);
    let server = await this.#server;
    while (server !== this.#present) server = await this.#server; // lost while we were told of it
    this.#noteRequests(packets, server);
    // One that is lost meanwhile is seen by who reads, and so is what it has not answered.
    await writeAll(server.duplex, packets).catch(() => {});
    this.#requests.copyWithin(0, whole, this.#requestBytes);
    this.#requestBytes -= whole;
    return taken.length;
  }

  async closeWrite(): Promise<void> {
    this.#end();
    await this.#present?.duplex.closeWrite();
  }

  close(): void {
    this.#end();
    if (this.#present) closeQuietly(this.#present.duplex);
  }

  #end(): void {
    this.#isEnded = true;
    this.#ending.abort(new Error("The files were closed"));
  }

  /** The answers of one server after another. */
  async *#answer(first: FileServer): AsyncGenerator<Uint8Array> {
    for (let server = first;;) {
      try {
        for await (const packets of server.answers) {
          this.#noteAnswers(packets, server);
          yield packets;
        }
        if (this.#isEnded) return;
      } catch (error) {
        if (this.#isEnded) throw error;
      }
      const lost = server;
      const { promise, resolve, reject } = Promise.withResolvers<FileServer>();
      promise.catch(() => {}); // told to who reads
      this.#server = promise;
      this.#present = undefined;
      closeQuietly(lost.duplex);
      try {
        server = await this.#next(this.#ending.signal);
        if (server.version && lost.asked.has(GREETING)) yield server.version;
        await this.#openAgain(server);
        const { packets, refusals } = this.#sort(lost.asked, server);
        await writeAll(server.duplex, packets).catch(() => {}); // lost as well: the next turn sees it
        if (refusals.length > 0) yield refusals;
      } catch (error) {
        reject(error);
        if (server !== lost) closeQuietly(server.duplex);
        if (this.#isEnded) return;
        throw error;
      }
      if (this.#isEnded) return closeQuietly(server.duplex);
      this.#present = server;
      resolve(server);
    }
  }

  /** Opens again what is open, as far as it is there. Of a server that is lost meanwhile there is nothing. */
  async #openAgain(server: FileServer): Promise<void> {
    const handles = [...this.#handles].flatMap(([number, { open }]) => open ? [{ number, open }] : []);
    const packets = new PacketWriter();
    for (const [id, { open }] of handles.entries()) {
      const flags = flagsOf(open) & ~(OPEN.CREATE | OPEN.TRUNCATE | OPEN.EXCLUSIVE);
      packets.begin(SFTP.OPEN).uint32(id).bytes(pathIn(open)).uint32(flags).attributes({}).end();
    }
    const asking = writeAll(server.duplex, packets.take()).catch(() => {}); // as whoever reads sees
    try {
      for (let left = handles.length; left > 0;) {
        const { value, done } = await server.answers.next();
        if (done) return;
        const view = viewOf(value);
        for (const { type, id, start } of packetsIn(value)) {
          left--;
          const { number, open } = handles[id] ?? {};
          if (type !== SFTP.HANDLE || number === undefined) continue;
          this.#handles.set(number, { server, number: view.getUint32(start + AT.field + 4), open });
        }
      }
    } catch {
      // lost as well
    } finally {
      await asking;
    }
  }

  /** Of what a lost server has not answered: what the next one is asked, and the answers to the rest. */
  #sort(unanswered: Map<number, Asked>, server: FileServer): { packets: Uint8Array; refusals: Uint8Array } {
    const again: Uint8Array[] = [];
    const refusals = new PacketWriter();
    for (const [id, asked] of unanswered) {
      if (id === GREETING) continue;
      const { packet, losses = 1 } = asked;
      if (packet !== undefined && losses < MOST_LOSSES) {
        const bytes = packet.slice();
        const isStale = this.#translate(bytes, server);
        server.asked.set(id, { ...asked, isStale, losses: losses + 1 });
        again.push(bytes);
      } else {
        const words = "It was asked of a pod that is lost";
        refusals.begin(SFTP.STATUS).uint32(id).uint32(STATUS.CONNECTION_LOST).text(words).text("").end();
      }
    }
    return { packets: joined(again), refusals: refusals.take() };
  }

  /**
   * Puts the server's name for what is open in the place of the client's.
   *
   * @returns whether it is not open there, as it went with a lost pod
   * @throws {SftpError} when the client would take a refusal for the end of the file
   */
  #translate(packet: Uint8Array, server: FileServer): boolean {
    const type = packet[AT.type] ?? 0;
    const at = handleIn(type, packet);
    if (at === undefined) return false;
    const view = viewOf(packet);
    const number = view.getUint32(at);
    const handle = this.#handles.get(number);
    if (type === SFTP.CLOSE) this.#handles.delete(number);
    const isStale = handle !== undefined && handle.server !== server;
    view.setUint32(at, handle === undefined || isStale ? NO_HANDLE : handle.number);
    if (isStale && type === SFTP.READ && this.#endsWithLostRead) {
      throw new SftpError("A file that went with its pod was read on");
    }
    return isStale;
  }

  /** Remembers what a server is being asked. */
  #noteRequests(packets: Uint8Array, server: FileServer): void {
    for (const { type, id, start, end } of packetsIn(packets)) {
      if (type === SFTP.INIT) {
        server.asked.set(GREETING, ONCE);
        continue;
      }
      const packet = packets.subarray(start, end);
      const repeats = mayBeRepeated(type, packet);
      const kept = repeats ? packet.slice() : undefined;
      const open = openIn(type, packet);
      const isStale = this.#translate(packet, server);
      server.asked.set(id, kept || open ? { isStale, packet: kept, open } : isStale ? STALE : ONCE);
    }
  }

  /** Forgets what a server has answered, and puts the client's names for what is open in the place of its own. */
  #noteAnswers(packets: Uint8Array, server: FileServer): void {
    const view = viewOf(packets);
    for (const { type, id, start, end } of packetsIn(packets)) {
      const asked = server.asked.get(type === SFTP.VERSION ? GREETING : id);
      server.asked.delete(type === SFTP.VERSION ? GREETING : id);
      const field = start + AT.field;
      if (type === SFTP.HANDLE) {
        if (end - field !== 8) throw new SftpError(`A handle of ${end - field - 4} bytes`);
        this.#handles.set(++this.#lastHandle, { server, number: view.getUint32(field + 4), open: asked?.open });
        view.setUint32(field + 4, this.#lastHandle);
      } else if (type === SFTP.STATUS && asked?.isStale) {
        view.setUint32(field, STATUS.CONNECTION_LOST);
      }
    }
  }
}

function joined(all: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(all.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const each of all) {
    bytes.set(each, at);
    at += each.length;
  }
  return bytes;
}
