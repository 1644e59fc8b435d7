import { encodeData, encodeFrame, type Frame, HEADER_BYTES, MAX_DATA_BYTES, OFFSET_BYTES } from "./frame.ts";
import { type Lane, MAX_BODY_BYTES, SEGMENT_HEADER_BYTES, SegmentKind } from "./segment.ts";

/** How much of each lane may be under way, sent and not acknowledged: the replay buffer (spec.md, "Limits"). */
const REPLAY_BYTES: Record<Lane, number> = {
  [SegmentKind.EXPRESS]: 8 * 1024 * 1024,
  [SegmentKind.BULK]: 32 * 1024 * 1024,
};
/**
 * What control frames may have under way beyond that. What they free does not wait for room, so a peer that has us answer
 * and acknowledges nothing would have no end of it.
 */
const MORE_CONTROL_BYTES = 8 * 1024 * 1024;
/** Control frames that may wait; a peer that has more of them said reads nothing (spec.md, "Limits"). */
const MAX_CONTROL_FRAMES = 65536;
const MAX_CONTROL_BYTES = 16 * 1024 * 1024;
/** How many numbers may be under way; half of what the peer bears (`MAX_AHEAD`). */
const REPLAY_SEGMENTS = 32768;
/** The longest segment that we send, one DATA of the longest; buffers of this size are used again. */
const POOLED_BYTES = SEGMENT_HEADER_BYTES + HEADER_BYTES + OFFSET_BYTES + MAX_DATA_BYTES;
/** What the pool keeps of them at rest. */
const POOLED_AT_REST = 16;

/** A numbered segment that the peer may not have yet; its header is written by the carrier that takes it. */
export interface Outgoing {
  readonly lane: Lane;
  readonly number: number;
  /** Room for the header, then the body. */
  readonly bytes: Uint8Array;
}

interface WaitingData {
  readonly stream: number;
  readonly position: number;
  readonly payload: Uint8Array;
  readonly taken: PromiseWithResolvers<void>;
}

/** What one lane has under way. */
class LaneState {
  nextNumber = 0;
  /** By number, the oldest first. */
  readonly underWay = new Map<number, Outgoing>();
  bytes = 0;
  /** Lost with a carrier: to be sent before anything new. */
  again: Outgoing[] = [];
}

/**
 * What is to be sent, from the frame that a stream hands in to the acknowledgement of its segment.
 *
 * Control frames go first in the express lane; DATA frames take turns in the order in which they came. Since at most
 * one DATA frame of each stream waits, the queues are bounded by the streams. A frame is copied into its segment when a
 * carrier asks for one and not earlier: whichever carrier is ready first gets it.
 */
export class Outbox {
  readonly #lanes: Record<Lane, LaneState> = {
    [SegmentKind.EXPRESS]: new LaneState(),
    [SegmentKind.BULK]: new LaneState(),
  };
  #control: Frame[] = [];
  #controlBytes = 0;
  readonly #data: Record<Lane, WaitingData[]> = { [SegmentKind.EXPRESS]: [], [SegmentKind.BULK]: [] };
  readonly #pool: Uint8Array[] = [];
  #failed: { error: Error } | undefined;
  #emptied: (() => void)[] = [];

  /** Queues a control frame; its payload must not change afterwards. @returns whether the peer lets as many wait */
  control(frame: Frame): boolean {
    if (this.#failed) return true;
    this.#control.push(frame);
    this.#controlBytes += frame.payload.length;
    return this.#control.length <= MAX_CONTROL_FRAMES && this.#controlBytes <= MAX_CONTROL_BYTES;
  }

  /** Queues DATA and waits until it is in a segment; then the payload may change again. @throws the end's reason */
  async data(lane: Lane, stream: number, position: number, payload: Uint8Array): Promise<void> {
    if (this.#failed) throw this.#failed.error;
    const taken = Promise.withResolvers<void>();
    this.#data[lane].push({ stream, position, payload, taken });
    await taken.promise;
  }

  /** The next segment of a lane for a carrier that is ready; undefined when there is none or too much is under way. */
  next(lane: Lane): Outgoing | undefined {
    const state = this.#lanes[lane];
    const again = state.again.shift();
    if (again !== undefined) {
      this.#tellEmpty();
      return again;
    }
    if (this.#failed || this.#isFull(state, lane)) return undefined;
    const bytes = this.#fill(lane);
    if (bytes === undefined) return undefined;
    const outgoing: Outgoing = { lane, number: state.nextNumber++, bytes };
    state.underWay.set(outgoing.number, outgoing);
    state.bytes += bytes.length;
    this.#tellEmpty();
    return outgoing;
  }

  /** The peer has it. */
  acknowledged({ lane, number, bytes }: Outgoing): void {
    const state = this.#lanes[lane];
    if (state.underWay.get(number)?.bytes !== bytes) return; // another carrier's copy was faster, or owns the buffer
    state.underWay.delete(number);
    state.bytes -= bytes.length;
    if (bytes.buffer.byteLength === POOLED_BYTES) this.#pool.push(new Uint8Array(bytes.buffer as ArrayBuffer));
    this.#tellEmpty();
  }

  /**
   * A carrier was lost with these under way, the oldest first. They get buffers of their own: a write to the lost
   * carrier may still be looking at the old ones.
   */
  sendAgain(lost: readonly Outgoing[]): void {
    for (const { lane, number, bytes } of lost) {
      const state = this.#lanes[lane];
      if (!state.underWay.has(number)) continue;
      const copy: Outgoing = { lane, number, bytes: bytes.slice() };
      state.underWay.set(number, copy);
      state.again.push(copy);
    }
    for (const state of Object.values(this.#lanes)) state.again.sort((a, b) => a.number - b.number);
  }

  /** Waits until all that was handed in is with a carrier. */
  async handedOut(): Promise<void> {
    if (this.#isEmpty()) return;
    await new Promise<void>((resolve) => this.#emptied.push(resolve));
  }

  /** Gives back memory that a burst needed; called now and then. */
  trim(): void {
    const idle = this.#lanes[SegmentKind.BULK].bytes === 0;
    if (idle && this.#pool.length > POOLED_AT_REST) this.#pool.length = POOLED_AT_REST;
  }

  /** Ends all waits with `error`; nothing new is sent any more. */
  fail(error: Error): void {
    if (this.#failed) return;
    this.#failed = { error };
    this.#control = [];
    this.#pool.length = 0;
    for (const queue of Object.values(this.#data)) for (const { taken } of queue.splice(0)) taken.reject(error);
    for (const state of Object.values(this.#lanes)) {
      state.underWay.clear();
      state.again = [];
    }
    this.#tellEmpty();
  }

  #isFull({ underWay, nextNumber, bytes }: LaneState, lane: Lane): boolean {
    const oldest: number = underWay.keys().next().value ?? nextNumber;
    if (nextNumber - oldest >= REPLAY_SEGMENTS) return true;
    // Control frames are small and few for each stream: what frees memory must not wait for it.
    const more = lane === SegmentKind.EXPRESS && this.#control.length > 0 ? MORE_CONTROL_BYTES : 0;
    return bytes >= REPLAY_BYTES[lane] + more;
  }

  /** Builds a segment of what waits: as many frames as fit. */
  #fill(lane: Lane): Uint8Array | undefined {
    const control = lane === SegmentKind.EXPRESS ? this.#control : [];
    const data = this.#lanes[lane].bytes < REPLAY_BYTES[lane] ? this.#data[lane] : [];
    let size = SEGMENT_HEADER_BYTES;
    const fits = (length: number) => {
      if (size > SEGMENT_HEADER_BYTES && size + HEADER_BYTES + length > POOLED_BYTES) return false;
      size += HEADER_BYTES + length;
      return true;
    };
    const controls = countWhile(control, ({ payload }) => fits(payload.length));
    const datas = controls < control.length
      ? 0
      : countWhile(data, ({ payload }) => fits(OFFSET_BYTES + payload.length));
    if (controls + datas === 0) return undefined;
    const bytes = this.#allocate(size);
    let end = SEGMENT_HEADER_BYTES;
    for (const frame of control.splice(0, controls)) {
      end = encodeFrame(frame, bytes, end);
      this.#controlBytes -= frame.payload.length;
    }
    for (const { stream, position, payload, taken } of data.splice(0, datas)) {
      end = encodeData(stream, position, payload, bytes, end);
      taken.resolve();
    }
    return bytes;
  }

  #allocate(size: number): Uint8Array {
    if (size > MAX_BODY_BYTES + SEGMENT_HEADER_BYTES) throw new RangeError("A frame is longer than a segment");
    if (size < POOLED_BYTES / 4 || size > POOLED_BYTES) return new Uint8Array(size);
    return (this.#pool.pop() ?? new Uint8Array(POOLED_BYTES)).subarray(0, size);
  }

  #isEmpty(): boolean {
    const waiting = this.#control.length + Object.values(this.#data).reduce((sum, queue) => sum + queue.length, 0);
    const again = Object.values(this.#lanes).reduce((sum, { again }) => sum + again.length, 0);
    return waiting + again === 0;
  }

  #tellEmpty(): void {
    if (this.#emptied.length === 0 || !this.#isEmpty()) return;
    for (const tell of this.#emptied.splice(0)) tell();
  }
}

function countWhile<T>(items: readonly T[], isIn: (item: T) => boolean): number {
  let count = 0;
  for (; count < items.length; count++) {
    const item = items[count];
    if (item === undefined || !isIn(item)) break;
  }
  return count;
}
