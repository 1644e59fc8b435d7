import type { TLSSocket } from "node:tls";

/** The client went away, or the fake cut the connection. */
export class ConnectionGone extends Error {
  override readonly name = "ConnectionGone";
}

/**
 * The server's end of one TLS connection: reads that wait, over a buffer; writes that wait for the socket.
 *
 * `node:tls` rather than `Deno.listenTls`, because the latter asks nobody for a client certificate.
 */
export class Connection {
  readonly #socket: TLSSocket;
  readonly #chunks: AsyncIterator<Uint8Array>;
  #held: Uint8Array = new Uint8Array();

  constructor(socket: TLSSocket) {
    this.#socket = socket;
    this.#chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  }

  /** Who the client is by its certificate; undefined without one that our authority has signed. */
  get user(): string | undefined {
    if (!this.#socket.authorized) return undefined;
    const { CN } = this.#socket.getPeerCertificate().subject;
    return Array.isArray(CN) ? CN[0] : CN;
  }

  /** Whether it was cut, by whomever. */
  get gone(): boolean {
    return this.#socket.destroyed;
  }

  /** Calls back once when the connection is gone. */
  whenGone(callback: () => void): void {
    if (this.gone) callback();
    else this.#socket.once("close", callback);
  }

  /** A line without its end; null at the end of the stream. */
  async readLine(): Promise<string | null> {
    for (;;) {
      const end = this.#held.indexOf(0x0a);
      if (end >= 0) return new TextDecoder().decode(this.#take(end + 1)).replace(/\r?\n$/, "");
      if (!await this.#more()) return null;
    }
  }

  /** Exactly so many bytes; null when the stream ends before. */
  async readBytes(count: number): Promise<Uint8Array | null> {
    while (this.#held.length < count) {
      if (!await this.#more()) return null;
    }
    return this.#take(count);
  }

  /** Waits until the socket has taken all of it. @throws {ConnectionGone} */
  async write(bytes: Uint8Array | string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    if (this.gone) throw new ConnectionGone();
    const lost = () => resolve(false);
    this.#socket.once("close", lost);
    this.#socket.write(bytes, (error) => resolve(!error));
    const done = await promise;
    this.#socket.off("close", lost);
    if (!done) throw new ConnectionGone();
  }

  /** Ends the connection at once. */
  cut(): void {
    this.#socket.destroy();
  }

  /** Sends what is under way, then ends. */
  async end(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    if (this.gone) return;
    this.#socket.once("close", () => resolve());
    this.#socket.end(() => this.#socket.destroy());
    await promise;
  }

  #take(count: number): Uint8Array {
    const taken = this.#held.subarray(0, count);
    this.#held = this.#held.subarray(count);
    return taken;
  }

  async #more(): Promise<boolean> {
    try {
      const { value, done } = await this.#chunks.next();
      if (done) return false;
      this.#held = this.#held.length === 0 ? value : joined(this.#held, value);
      return true;
    } catch {
      return false; // a reset is an end
    }
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
