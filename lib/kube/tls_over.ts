/**
 * TLS over any connection, by `node:tls`: for what the runtime's own TLS cannot do (client certificate together with a
 * proxy or another server name, no check of the certificate, TLS inside TLS, a server that is its own authority).
 *
 * Theory of operation. `node:tls` in Deno does not know back-pressure: a paused socket goes on reading into memory. So
 * the pause is made below it: encrypted bytes are fetched only while few decrypted ones wait for our reader.
 *
 * @module
 */
import type { Duplex } from "@/util/mod.ts";
import { writeAll } from "@/util/mod.ts";
import type { Duplex as NodeDuplex } from "node:stream";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import type { ClientCertificate } from "./cluster_config.ts";

/** What a TLS connection is made with. */
export interface TlsOverOptions {
  /** The name to ask for and to check; an address is checked and not asked for. */
  readonly serverName: string;
  readonly caCerts?: string | undefined;
  readonly skipVerify: boolean;
  readonly clientCertificate?: ClientCertificate | undefined;
  /** Ends the handshake. */
  readonly signal: AbortSignal;
}

/** Decrypted bytes that may wait for a reader before no more encrypted ones are fetched. */
const WAITING_BYTES = 256 * 1024;
/** One read of encrypted bytes. */
const READ_BYTES = 64 * 1024;

/**
 * Makes a TLS connection over `transport`, which it owns from then on.
 *
 * @throws the error of `node:tls` when the handshake fails, the signal's reason
 */
export async function tlsOver(transport: Duplex, options: TlsOverOptions): Promise<Duplex> {
  const { serverName, caCerts, skipVerify, clientCertificate, signal } = options;
  const queue = new ReadQueue();
  // Loaded by those who need it: it costs more time than all of this room.
  const [node, { connect }] = await Promise.all([import("node:stream"), import("node:tls")]);
  const encrypted = nodeDuplex(node.Duplex, transport, queue);
  const settings: ConnectionOptions = {
    socket: encrypted,
    rejectUnauthorized: !skipVerify,
    host: serverName,
    ...(isAddress(serverName) ? {} : { servername: serverName }),
    ...(caCerts !== undefined && { ca: caCerts }),
    ...clientCertificate,
  };
  const socket = connect(settings);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const abort = () => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  socket.once("secureConnect", resolve);
  socket.on("error", reject); // stays: an error that nobody listens to ends the process
  try {
    signal.throwIfAborted();
    await promise;
    return socketDuplex(socket, encrypted, queue);
  } catch (error) {
    socket.destroy();
    encrypted.destroy();
    throw error;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** Decrypted bytes on their way to the reader. */
class ReadQueue {
  readonly #parts: Uint8Array[] = [];
  #bytes = 0;
  #ended = false;
  #error: Error | undefined;
  #arrived = Promise.withResolvers<void>();
  #drained = Promise.withResolvers<void>();

  push(part: Uint8Array): void {
    this.#parts.push(part);
    this.#bytes += part.length;
    this.#arrived.resolve();
  }

  /** No more will come; readers get what is here first. */
  end(error?: Error): void {
    this.#ended = true;
    this.#error ??= error;
    this.#arrived.resolve();
    this.#drained.resolve();
  }

  async read(into: Uint8Array): Promise<number | null> {
    while (this.#parts.length === 0) {
      if (this.#error !== undefined) throw this.#error;
      if (this.#ended) return null;
      this.#arrived = Promise.withResolvers();
      await this.#arrived.promise;
    }
    let filled = 0;
    for (let part; filled < into.length && (part = this.#parts[0]) !== undefined;) {
      const taken = part.subarray(0, into.length - filled);
      into.set(taken, filled);
      filled += taken.length;
      if (taken.length === part.length) this.#parts.shift();
      else this.#parts[0] = part.subarray(taken.length);
    }
    this.#bytes -= filled;
    if (this.#bytes < WAITING_BYTES) this.#drained.resolve();
    return filled;
  }

  /** Waits until little is left for the reader. */
  async untilWanted(): Promise<void> {
    while (this.#bytes >= WAITING_BYTES && !this.#ended) {
      this.#drained = Promise.withResolvers();
      await this.#drained.promise;
    }
  }
}

/** The encrypted side as `node:tls` wants it. */
function nodeDuplex(Class: typeof NodeDuplex, transport: Duplex, queue: ReadQueue): NodeDuplex {
  return new Class({
    read() {
      const fetch = async () => {
        await queue.untilWanted();
        const buffer = new Uint8Array(READ_BYTES);
        const count = await transport.read(buffer);
        this.push(count === null ? null : buffer.subarray(0, count));
      };
      fetch().catch((error) => this.destroy(error));
    },
    write(bytes: Uint8Array, _encoding, done) {
      writeAll(transport, bytes).then(() => done(), done);
    },
    final(done) {
      transport.closeWrite().then(() => done(), done);
    },
    destroy(error, done) {
      queue.end(error ?? undefined);
      transport.close();
      done(error);
    },
  });
}

/** The decrypted side as we want it. */
function socketDuplex(socket: TLSSocket, encrypted: NodeDuplex, queue: ReadQueue): Duplex {
  socket.on("data", (part: Uint8Array) => queue.push(part));
  socket.once("end", () => queue.end());
  socket.once("error", (error) => queue.end(error));
  socket.once("close", () => queue.end());
  return {
    read: (into) => queue.read(into),
    async write(bytes) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      // The callback comes when the bytes have left for the connection below: that is the back-pressure of writing.
      socket.write(bytes, (error) => error ? reject(error) : resolve());
      await promise;
      return bytes.length;
    },
    async closeWrite() {
      const { promise, resolve } = Promise.withResolvers<void>();
      socket.end(resolve);
      await promise;
    },
    close() {
      socket.destroy();
      encrypted.destroy();
    },
  };
}

function isAddress(host: string): boolean {
  return host.includes(":") || /^\d+(\.\d+){3}$/.test(host);
}
