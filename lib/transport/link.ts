/**
 * A link: frames to and from one peer, over carriers that come and go. `spec.md`, "Link", is the protocol.
 *
 * Theory of operation. What is to be sent waits in the outbox, in two lanes. Each carrier asks for the next segment
 * when it can write: the one with the lowest index carries the express lane (all control, and streams that say little),
 * the others the bulk lane, so that no bulk stands before a small answer; a lone carrier carries both. A segment stays
 * in the replay buffer until the peer has acknowledged it on that carrier. When a carrier is lost, what was under way
 * on it goes into the next ones, and the peer drops by its number what it has already.
 *
 * @module
 */
import { type Log, silentLog } from "@/log/mod.ts";
import { collectMuchGarbage, type Duplex, messageOf, turnOver } from "@/util/mod.ts";
import { Arrivals } from "./arrivals.ts";
import { CarrierEnd } from "./carrier_end.ts";
import { decodeFrames, type Frame, ProtocolError } from "./frame.ts";
import { Outbox, type Outgoing } from "./outbox.ts";
import { type Segment, SegmentKind } from "./segment.ts";

/** An end that has sent nothing on a carrier for this long sends a PING there. */
const HEARTBEAT_MS = 5_000;
/** A carrier on which nothing came for this long is dead. */
const SILENCE_MS = 15_000;
/** How long a link without a carrier waits for the next. */
export const GRACE_MS = 60_000;
/** How many carriers may break their own protocol before the peer is taken for a liar. */
const MAX_FAULTS = 8;
/** Less than this between two looks is quiet: heartbeats, a few small messages. */
const QUIET_BYTES = 16 * 1024;
/** How long a goodbye may take. */
const GOODBYE_MS = 1_000;

/** The link to the other end is gone. */
export class LinkLost extends Error {
  override readonly name = "LinkLost";
}

/** Options of {@linkcode openLink}. */
export interface LinkOptions {
  log?: Log;
  /** How long the link lives without a carrier. @default {60 s} */
  graceMs?: number;
  /** @default {5 s} */
  heartbeatMs?: number;
  /** @default {15 s} */
  silenceMs?: number;
}

/** Who takes what comes: the mux. */
export interface FrameTaker {
  /** Takes a frame whose payload is valid during the call only. @throws {ProtocolError} when it is forbidden */
  take(frame: Frame): void;
  /** The link is over. */
  end(error: Error): void;
}

/** A link without a carrier yet: the time of grace runs. Disposing it says goodbye on every carrier. */
export function openLink(options: LinkOptions = {}): Link {
  return new Link(options);
}

/** See {@linkcode openLink}. */
export class Link implements AsyncDisposable {
  /** Resolves when this end closed the link; rejects with the first reason when anything else did. */
  readonly closed: Promise<void>;
  readonly #options: Required<LinkOptions>;
  readonly #settled = Promise.withResolvers<void>();
  readonly #taker = Promise.withResolvers<void>();
  readonly #outbox = new Outbox();
  readonly #express = new Arrivals(true, (body) => this.#deliver(body));
  readonly #bulk = new Arrivals(false, (body) => this.#deliver(body));
  /** The carriers that are up, by index. */
  readonly #carriers = new Map<number, CarrierEnd>();
  readonly #beating: ReturnType<typeof setInterval>;
  #frames: FrameTaker | undefined;
  #grace: ReturnType<typeof setTimeout> | undefined;
  #lastLoss: unknown;
  #faults = 0;
  /** What was carried by carriers that are gone, and up to the last look. */
  #pastTraffic = 0;
  #seenTraffic = 0;
  #refused = false;
  #ended: { error: Error } | undefined;
  /** We said goodbye: that the peer closes carriers now is no loss. */
  #leaving = false;

  constructor(options: LinkOptions) {
    const { log = silentLog, graceMs = GRACE_MS, heartbeatMs = HEARTBEAT_MS, silenceMs = SILENCE_MS } = options;
    this.#options = { log, graceMs, heartbeatMs, silenceMs };
    this.closed = this.#settled.promise;
    this.closed.catch(() => {}); // who wants to know, asks; an unasked rejection is no crash
    this.#beating = setInterval(() => this.#beat(), Math.min(1000, heartbeatMs));
    this.#waitForCarrier();
  }

  /** How many carriers are up. */
  get carrierCount(): number {
    return this.#carriers.size;
  }

  /** The longest round trip of a carrier when it was last measured, in milliseconds; 0 before it was. */
  get roundTripMs(): number {
    return Math.max(0, ...this.#carriers.values().map(({ roundTripMs = 0 }) => roundTripMs));
  }

  /** The shortest round trip that was measured on the carriers that are up, in milliseconds; 0 before one was. */
  get pathMs(): number {
    const shortest = Math.min(...this.#carriers.values().map(({ pathMs = Infinity }) => pathMs));
    return shortest === Infinity ? 0 : shortest;
  }

  /** Bytes that came and went on the carriers that are up. */
  get traffic(): number {
    return this.#carriers.values().reduce((sum, { traffic }) => sum + traffic, 0);
  }

  /** Gives everything that comes to `taker`; nothing is read before. Once. */
  start(taker: FrameTaker): void {
    this.#frames = taker;
    this.#taker.resolve();
    if (this.#ended) taker.end(this.#ended.error);
  }

  /**
   * Takes a carrier whose handshake is done. It takes the place of the one that has its index, if there is one.
   *
   * @returns when the carrier is gone, with why
   */
  async attach(index: number, duplex: Duplex): Promise<unknown> {
    if (this.#ended) {
      duplex.close();
      return this.#ended.error;
    }
    const { log } = this.#options;
    this.#drop(this.#carriers.get(index), new Error("Another carrier took its place"));
    const carrier: CarrierEnd = new CarrierEnd(index, duplex, {
      next: () => this.#nextFor(carrier),
      take: (segment) => this.#take(segment),
      acknowledged: (outgoing) => {
        this.#outbox.acknowledged(outgoing);
        this.#kick(); // there is room again
      },
      bye: (sentence) => this.end(new LinkLost(`The other end closed the tunnel: ${sentence}`)),
    });
    this.#carriers.set(index, carrier);
    clearTimeout(this.#grace);
    log.debug(`Carrier ${index} is up: ${this.#carriers.size} in all`);
    this.#kick();
    try {
      await this.#taker.promise;
      return await carrier.run();
    } catch (error) {
      this.#drop(carrier, error);
      return error;
    }
  }

  /** Sends a control frame; its payload must not change afterwards. */
  control(frame: Frame): void {
    if (this.#outbox.control(frame)) return this.#kick();
    const error = new LinkLost("The other end takes nothing, and too much waits for it");
    queueMicrotask(() => this.end(error)); // whoever sends is in the middle of something
  }

  /**
   * Sends bytes of a stream, which begin at `position`; waits for its turn. Afterwards the payload may change again.
   *
   * @throws the reason for which the link ended
   */
  async data(
    frame: { readonly stream: number; readonly position: number; readonly payload: Uint8Array; readonly bulk: boolean },
  ): Promise<void> {
    const lane = frame.bulk ? SegmentKind.BULK : SegmentKind.EXPRESS;
    const taken = this.#outbox.data(lane, frame.stream, frame.position, frame.payload);
    this.#kick();
    await taken;
  }

  /** The one end of the link: everything that waits is told. `error` is undefined when we wanted it. */
  end(error: Error | undefined): void {
    if (this.#ended) return;
    const reason = error ?? new LinkLost("The tunnel was closed");
    this.#ended = { error: reason };
    clearInterval(this.#beating);
    clearTimeout(this.#grace);
    this.#outbox.fail(reason);
    for (const carrier of this.#carriers.values()) carrier.close(reason);
    this.#carriers.clear();
    this.#frames?.end(reason);
    this.#taker.resolve(); // a carrier that waits for who never came
    if (error === undefined || this.#leaving) return this.#settled.resolve();
    this.#options.log.info(`Tunnel ended: ${error.message}`);
    this.#settled.reject(error);
  }

  /** Ends the link in order: what waits goes out, then the goodbye. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.leave("The other end is done");
  }

  /** As disposing, with a sentence for the peer. */
  async leave(sentence: string): Promise<void> {
    if (!this.#ended) {
      this.#leaving = true;
      await this.#sayBye(sentence);
      this.end(undefined);
    }
    await this.closed.catch(() => {});
    await turnOver();
  }

  /** Says goodbye on every carrier; one that takes nothing does not hold up the end. */
  async #sayBye(sentence: string): Promise<void> {
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, GOODBYE_MS);
    const goodbye = async () => {
      if (this.#frames !== undefined && this.#carriers.size > 0) await this.#outbox.handedOut();
      await Promise.all([...this.#carriers.values()].map((carrier) => {
        carrier.sayBye(sentence);
        return carrier.leave();
      }));
    };
    await Promise.race([goodbye().catch(() => {}), late.promise]);
    clearTimeout(timer);
  }

  #nextFor(carrier: CarrierEnd): Outgoing | undefined {
    const first = Math.min(...this.#carriers.keys());
    const express = carrier.index === first ? this.#outbox.next(SegmentKind.EXPRESS) : undefined;
    if (express !== undefined) return express;
    const isForBulk = carrier.index !== first || this.#carriers.size === 1;
    return isForBulk && carrier.hasRoom ? this.#outbox.next(SegmentKind.BULK) : undefined;
  }

  /** Takes a lane's segment. A fault in what it says is the peer's, not the carrier's: it ends the link. */
  #take({ kind, number, body }: Segment): void {
    if (this.#ended || this.#refused) return;
    try {
      (kind === SegmentKind.EXPRESS ? this.#express : this.#bulk).take(number, body);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#refuse(error);
    }
  }

  #deliver(body: Uint8Array): void {
    for (const frame of decodeFrames(body)) this.#frames?.take(frame);
  }

  /** The peer broke the protocol: it is told, and the link is over. */
  #refuse(error: ProtocolError): void {
    this.#refused = true;
    this.#options.log.info(`The other end broke the protocol: ${error.message}`);
    this.#outbox.fail(error); // nothing goes out any more but the goodbye
    this.#sayBye(error.message).finally(() => this.end(error));
  }

  /** A carrier is gone: what was under way on it goes to the others, or waits for the next. */
  #drop(carrier: CarrierEnd | undefined, error: unknown): void {
    if (carrier === undefined || this.#carriers.get(carrier.index) !== carrier) return;
    this.#carriers.delete(carrier.index);
    this.#pastTraffic += carrier.traffic;
    carrier.close(error);
    this.#lastLoss = error;
    this.#options.log.debug(`Carrier ${carrier.index} is lost: ${messageOf(error)}`);
    this.#outbox.sendAgain(carrier.takeUnderWay());
    if (error instanceof ProtocolError && ++this.#faults >= MAX_FAULTS) return this.end(error);
    if (this.#carriers.size === 0) this.#waitForCarrier();
    this.#kick();
  }

  #waitForCarrier(): void {
    const { graceMs } = this.#options;
    const start = performance.now();
    const giveUp = () => {
      const seconds = Math.round((performance.now() - start) / 1000);
      const how = this.#lastLoss === undefined ? "" : `: ${messageOf(this.#lastLoss)}`;
      const since = seconds > 0 ? ` for ${seconds} s` : "";
      this.end(new LinkLost(`The connection to the other end was lost${since}${how}`, { cause: this.#lastLoss }));
    };
    clearTimeout(this.#grace);
    if (graceMs === 0 && this.#lastLoss !== undefined) giveUp();
    else if (graceMs > 0) this.#grace = setTimeout(giveUp, graceMs);
  }

  #beat(): void {
    const { silenceMs } = this.#options;
    for (const carrier of [...this.#carriers.values()]) {
      if (carrier.beat(this.#options)) continue;
      this.#drop(carrier, new LinkLost(`The other end has been silent for ${Math.round(silenceMs / 1000)} s`));
    }
    this.#outbox.trim();
    this.#collect();
  }

  /** Gives back what much traffic has left, once it is quiet. */
  #collect(): void {
    const traffic = this.#pastTraffic + this.traffic;
    const quiet = traffic - this.#seenTraffic < QUIET_BYTES;
    this.#seenTraffic = traffic;
    if (quiet) void collectMuchGarbage();
  }

  /** There is something to send, or room for it. Who is woken first takes it: the one with the least under way. */
  #kick(): void {
    const carriers = [...this.#carriers.values()];
    if (carriers.length > 2) carriers.sort((a, b) => a.underWayBytes - b.underWayBytes);
    for (const carrier of carriers) carrier.kick();
  }
}
