import { PacketReader, PacketWriter, SftpError } from "@/pod/mod.ts";
import { type Duplex, writeAll } from "@/util/mod.ts";
import { type Full, ReadAhead } from "./read_ahead.ts";

/** How much of the server's stream is read at a time. */
const READ_BYTES = 256 * 1024;
/** How many bytes of answers may wait for a client that does not read before it is not read from either. */
const MAX_ANSWER_BYTES = 1024 * 1024;
/** How many bytes of requests may wait for those before them, to go out together: what a stream takes at a time. */
const MAX_REQUEST_BYTES = 128 * 1024;

/** Options of {@linkcode readAhead}. */
export interface ReadAheadOptions {
  /** Milliseconds that never go back. @default {performance.now} */
  readonly now?: () => number;
  /** Hears that the pod has no room for what the client wanted to write. @default {nobody does} */
  readonly full?: (refusal: Full) => void;
}

/**
 * A connection to an SFTP server as it was given, but that files which its client reads from front to back are asked for
 * ahead of it: each READ of a client that waits for its answers is a round trip, and these are not (`read_ahead.md`).
 *
 * Its `read` and `write` reject with {SftpError} when one of both sends what is no SFTP.
 */
export function readAhead(server: Duplex, options: ReadAheadOptions = {}): Duplex {
  return new ReadAheadStream(server, options);
}

class ReadAheadStream implements Duplex {
  readonly #server: Duplex;
  readonly #ahead: ReadAhead;
  readonly #requests = new PacketReader();
  readonly #answers = new PacketReader();
  readonly #toServer: Outlet;
  /** Answers for the client; `#giving` is what it has yet to read of those that came before. */
  #toClient = new PacketWriter();
  #giving: Uint8Array = new Uint8Array();
  #spare = new PacketWriter();
  readonly #buffer = new Uint8Array(READ_BYTES);
  /** The read of the server's stream that is under way. */
  #reading: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;
  #ended = false;
  #changed = Promise.withResolvers<void>();

  constructor(server: Duplex, { now = () => performance.now(), full = () => {} }: ReadAheadOptions) {
    this.#server = server;
    this.#toServer = new Outlet(server);
    const [toServer, toClient] = [() => this.#toServer.packets, () => this.#toClient];
    this.#ahead = new ReadAhead({ toServer, toClient, now, full });
  }

  async write(bytes: Uint8Array): Promise<number> {
    for (const packet of this.#requests.push(bytes)) {
      this.#ahead.request(packet);
      this.#change(); // before it is waited for the reader, who may wait for this
      while (this.#toClient.length > MAX_ANSWER_BYTES && !this.#ended) await this.#changed.promise;
    }
    const flushed = this.#flush();
    if (this.#toServer.packets.length >= MAX_REQUEST_BYTES) await flushed;
    if (this.#failure !== undefined) throw this.#failure.error;
    return bytes.length;
  }

  async read(into: Uint8Array): Promise<number | null> {
    while (this.#giving.length === 0) {
      if (this.#toClient.length > 0) {
        [this.#toClient, this.#spare] = [this.#spare, this.#toClient];
        this.#giving = this.#spare.take();
        this.#change();
      } else if (this.#failure !== undefined) throw this.#failure.error;
      else if (this.#ended) return null;
      else {
        const { promise } = this.#changed;
        this.#reading ??= this.#take()
          .catch((error) => void (this.#failure ??= { error })) // whoever reads next is told, as perhaps nobody does now
          .finally(() => this.#reading = undefined);
        await Promise.race([this.#reading, promise]);
      }
    }
    const count = Math.min(into.length, this.#giving.length);
    into.set(this.#giving.subarray(0, count));
    this.#giving = this.#giving.subarray(count);
    return count;
  }

  async #take(): Promise<void> {
    const count = await this.#server.read(this.#buffer);
    if (count === null) {
      if (!this.#answers.isBetweenPackets) throw new SftpError("The end came in the middle of a packet");
      this.#ended = true;
      this.#change();
      return;
    }
    for (const packet of this.#answers.push(this.#buffer.subarray(0, count))) this.#ahead.answer(packet);
    void this.#flush(); // not awaited: a server that waits for its answers to be read would never take it
  }

  /** Writes the requests that there are; that this has failed is told to whoever reads or writes next. */
  async #flush(): Promise<void> {
    try {
      await this.#toServer.flush();
    } catch (error) {
      this.#failure ??= { error };
      this.#change();
    }
  }

  async closeWrite(): Promise<void> {
    await this.#toServer.flush();
    await this.#server.closeWrite();
  }

  close(): void {
    this.#ended = true;
    this.#change();
    this.#server.close();
  }

  #change(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

/** Packets on their way out: more can be added while some are being written. */
class Outlet {
  readonly #to: Duplex;
  packets = new PacketWriter();
  #writing = new PacketWriter();
  #flushing: Promise<void> | undefined;

  constructor(to: Duplex) {
    this.#to = to;
  }

  /** Writes all that there is. */
  flush(): Promise<void> {
    if (this.#flushing === undefined && this.packets.length === 0) return Promise.resolve();
    return this.#flushing ??= this.#flush();
  }

  async #flush(): Promise<void> {
    try {
      while (this.packets.length > 0) {
        [this.packets, this.#writing] = [this.#writing, this.packets];
        await writeAll(this.#to, this.#writing.take());
      }
    } finally {
      this.#flushing = undefined; // at once: who adds packets now has to flush anew
    }
  }
}
