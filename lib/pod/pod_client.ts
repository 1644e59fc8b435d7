import { RCODES } from "@/dns/mod.ts";
import { type Log, silentLog } from "@/log/mod.ts";
import { type Incoming, Link, type Mux, type MuxStream, openLink, openMux, StreamReset } from "@/transport/mod.ts";
import { closeQuietly, type Duplex, messageOf, writeAll } from "@/util/mod.ts";
import { DatagramReader, encodeDatagram } from "./datagram.ts";
import {
  AgentRequest,
  decodeAnswer,
  decodeMessage,
  encodeMessage,
  Environment,
  FilesReply,
  type HostRequest,
  LookupReply,
  Sessions,
  toEaiName,
  toErrnoName,
} from "./messages.ts";
import {
  type Address,
  type Answer,
  type DatagramFlow,
  DialError,
  type DnsAnswer,
  type Introduction,
  type ListenOptions,
  LookupError,
  type LookupOptions,
  type Pod,
  type PodConnection,
  type PodFiles,
  type PodListener,
  type PodSession,
  type Waiting,
} from "./pod.ts";
import { aboutAccepted, aboutRequest, LiveFlow, type Observer } from "./observer.ts";

/** A pod at the other end of a link. Disposing it ends the link. */
export interface LinkedPod extends Pod, AsyncDisposable {
  /**
   * Who uses the same agent: those who introduced themselves.
   *
   * @throws {DialError} EINVAL when the agent is of a version that does not know
   */
  sessions(options?: Waiting): Promise<readonly PodSession[]>;
  /** Resolves when we ended the link; rejects with the reason when it was lost. */
  readonly closed: Promise<void>;
}

/**
 * The pod whose agent is at the other end of a link, which it owns from here. A lone carrier, its handshake done, is
 * taken for a link that ends with it.
 */
export function openPod(over: Link | Duplex, options: PodOptions = {}): LinkedPod {
  if (over instanceof Link) return new PodClient(over, options);
  const link = openLink({ ...(options.log && { log: options.log }), graceMs: 0 });
  link.attach(0, over);
  return new PodClient(link, options);
}

/** Options of {@linkcode openPod}. */
export interface PodOptions {
  readonly log?: Log;
  /** Hears of every connection. */
  readonly observer?: Observer;
  /** Who we are, for the others that use the same agent. @default {nobody is told} */
  readonly introduction?: Introduction;
}

class PodClient implements LinkedPod {
  readonly closed: Promise<void>;
  readonly #mux: Mux;
  readonly #log: Log;
  readonly #observer: Observer | undefined;
  readonly #listeners = new Map<number, Listener>();
  #nextListener = 1;
  #nextFlow = 1;

  constructor(link: Link, { log = silentLog, observer, introduction }: PodOptions) {
    this.#log = log;
    this.#observer = observer;
    this.#mux = openMux(link, { role: "host", onOpen: (incoming) => this.#accept(incoming) });
    this.closed = this.#mux.closed;
    if (introduction) void this.#introduce(introduction);
  }

  async #introduce({ session, by, since }: Introduction): Promise<void> {
    try {
      await this.#ask({ ask: "introduce", session, by, since }, {}); // the stream is open for as long as the link
    } catch (error) {
      this.#log.info(`The agent is not told whose session this is: ${messageOf(error)}`);
    }
  }

  async sessions(options: Waiting = {}): Promise<readonly PodSession[]> {
    const stream = await this.#ask({ ask: "sessions" }, options);
    await stream.closeWrite();
    return decodeMessage(Sessions, await readToEnd(stream, MOST_BYTES.sessions));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#mux[Symbol.asyncDispose]();
  }

  async dial(address: Address, options: Waiting = {}): Promise<Duplex> {
    const { host, port } = address;
    return await this.#openFlow({ ask: "dial", host, port }, options);
  }

  async lookup(name: string, options: LookupOptions = {}): Promise<Answer> {
    const { family = "any" } = options;
    const flow = this.#observe({ ask: "lookup", name, family }, options);
    const stream = await this.#ask({ ask: "lookup", name, family }, options, flow);
    await stream.closeWrite();
    const answer = decodeMessage(LookupReply, stream.reply);
    flow?.answered(answer.addresses);
    return answer;
  }

  async listen(port: number, options: ListenOptions = {}): Promise<PodListener> {
    const { loopback = false } = options;
    const number = this.#nextListener++;
    const listener = new Listener(port, () => this.#listeners.delete(number));
    this.#listeners.set(number, listener); // before the agent is asked: the first connection may be quick
    try {
      listener.open(await this.#ask({ ask: "listen", port, listener: number, loopback }, options));
      return listener;
    } catch (error) {
      this.#listeners.delete(number);
      throw error;
    }
  }

  async resolve(name: string, type: number, options: Waiting = {}): Promise<DnsAnswer> {
    const flow = this.#observe({ ask: "resolve", name, type }, options);
    const stream = await this.#ask({ ask: "resolve", name, type }, options, flow);
    await stream.closeWrite();
    const answer = decodeAnswer(await readToEnd(stream, MOST_BYTES.dns));
    if (answer.rcode === RCODES.NOERROR) flow?.answered(addressesIn(answer));
    else flow?.failed(answer.rcode === RCODES.NXDOMAIN ? "NXDOMAIN" : `RCODE ${answer.rcode}`);
    return answer;
  }

  async datagrams({ host, port }: Address, options: Waiting = {}): Promise<DatagramFlow> {
    return flowOver(await this.#openFlow({ ask: "datagrams", host, port }, options));
  }

  async environment(options: Waiting = {}): Promise<Record<string, string>> {
    const stream = await this.#ask({ ask: "environment" }, options);
    await stream.closeWrite();
    const all = decodeMessage(Environment, await readToEnd(stream, MOST_BYTES.environment));
    // What the kernel cannot hold is no variable: "PATH=/x" as a name would be another PATH to some programs.
    return Object.fromEntries(
      Object.entries(all).filter(([name, value]) => /^[^=\0]+$/.test(name) && !value.includes("\0")),
    );
  }

  async files(mounts: readonly string[], options: Waiting = {}): Promise<PodFiles> {
    const stream = await this.#ask({ ask: "files", mounts: [...mounts] }, options);
    const asked = new Set(mounts.map((mount) => mount.replace(/\/+$/, "")));
    // Places on this machine are made of them: others are none of the agent's to name.
    const there = decodeMessage(FilesReply, stream.reply).mounts.filter((mount) => asked.has(mount));
    return { mounts: there, duplex: stream };
  }

  /** Asks for a stream that is a connection, or datagrams. */
  async #openFlow(request: HostRequest, options: Waiting): Promise<MuxStream> {
    const flow = this.#observe(request, options);
    const stream = await this.#ask(request, options, flow);
    flow?.opened(stream);
    return stream;
  }

  async #ask(request: HostRequest, options: Waiting, flow?: LiveFlow): Promise<MuxStream> {
    try {
      return await this.#mux.open(encodeMessage(request), options);
    } catch (error) {
      const known = toPodError(error);
      flow?.failed(known);
      throw known;
    }
  }

  #observe(request: HostRequest, { caller }: Waiting): LiveFlow | undefined {
    const observer = this.#observer;
    const about = observer && aboutRequest(request);
    return about && new LiveFlow({ id: this.#nextFlow++, ...about, caller }, observer);
  }

  #accept(incoming: Incoming): void {
    try {
      const request = decodeMessage(AgentRequest, incoming.request);
      const { listener, from } = request;
      const taker = this.#listeners.get(listener);
      if (taker === undefined) return incoming.refuse({ code: "ECONNREFUSED", message: "Nobody listens any more" });
      const duplex = incoming.accept();
      if (this.#observer) {
        const about = aboutAccepted(request, taker.port);
        new LiveFlow({ id: this.#nextFlow++, ...about }, this.#observer).opened(duplex);
      }
      taker.push({ duplex, from });
    } catch (error) {
      this.#log.info(`A request of the agent was not understood: ${messageOf(error)}`);
      incoming.refuse({ code: "EINVAL", message: `The host did not understand the request: ${messageOf(error)}` });
    }
  }
}

/** A port of the pod; the stream that asked for it stands for it. */
class Listener implements PodListener {
  readonly port: number;
  readonly #forget: () => void;
  readonly #waiting: PodConnection[] = [];
  #stream: MuxStream | undefined;
  #ended: { error?: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor(port: number, forget: () => void) {
    this.port = port;
    this.#forget = forget;
  }

  open(stream: MuxStream): void {
    this.#stream = stream;
    // The agent sends nothing on this stream: its end is the listener's.
    stream.read(new Uint8Array(1)).then(() => this.#end({}), (error) => this.#end({ error }));
  }

  push(connection: PodConnection): void {
    if (this.#ended) return connection.duplex.close();
    this.#waiting.push(connection);
    this.#wake?.();
  }

  async *accepted(): AsyncIterable<PodConnection> {
    while (true) {
      for (let next; (next = this.#waiting.shift());) yield next;
      if (this.#ended) break;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    if (this.#ended.error !== undefined) throw this.#ended.error;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end({});
    await this.#stream?.closeWrite();
    this.#stream?.close();
  }

  #end(how: { error?: unknown }): void {
    if (this.#ended) return;
    this.#ended = how;
    this.#forget();
    for (const { duplex } of this.#waiting.splice(0)) duplex.close();
    this.#wake?.();
  }
}

/** What a connection that follows may go to: its name is known by that. */
function addressesIn({ records }: DnsAnswer): string[] {
  return records.flatMap(({ data }) => data.type === "A" || data.type === "AAAA" ? [data.address] : []);
}

/** The error of the interface for one of a stream. */
function toPodError(error: unknown): unknown {
  if (!(error instanceof StreamReset)) return error;
  const eai = toEaiName(error.code);
  return eai ? new LookupError(eai, error.message) : new DialError(toErrnoName(error.code), error.message);
}

function flowOver(stream: MuxStream): DatagramFlow {
  let sent: Promise<void> = Promise.resolve();
  return {
    async send(payload) {
      const bytes = encodeDatagram(payload);
      const sending = sent.then(() => writeAll(stream, bytes));
      sent = sending.catch(() => {}); // told to who sent it
      await sending.catch((error) => {
        throw toPodError(error);
      });
    },
    async *received() {
      const reader = new DatagramReader();
      const buffer = new Uint8Array(65536);
      try {
        for (let count; (count = await stream.read(buffer)) !== null;) yield* reader.push(buffer.subarray(0, count));
      } catch (error) {
        throw toPodError(error);
      }
    },
    async [Symbol.asyncDispose]() {
      await stream.closeWrite();
      stream.close();
    },
  };
}

/** The longest answers that are taken whole. No process has a larger environment; DNS has 16 bits for a size. */
const MOST_BYTES = { environment: 32 * 1024 * 1024, dns: 65535, sessions: 4 * 1024 * 1024 } as const;

/** @throws {DialError} EIO when there is more than an agent says: it has no end to wait for, and would fill our memory */
async function readToEnd(stream: Duplex, most: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  const buffer = new Uint8Array(65536);
  let bytes = 0;
  for (let count; (count = await stream.read(buffer)) !== null;) {
    if ((bytes += count) > most) {
      closeQuietly(stream);
      throw new DialError("EIO", `The agent's answer is longer than ${most} bytes`);
    }
    parts.push(buffer.slice(0, count));
  }
  return new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
}
