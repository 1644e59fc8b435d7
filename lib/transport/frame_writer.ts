import { type Duplex, writeAll } from "@/util/mod.ts";
import { encodeFrame, type Frame, FrameType, HEADER_BYTES } from "./frame.ts";

/** What one write to the carrier may hold: more gains nothing, less costs more CPU per byte (measured). */
const BATCH_BYTES = 256 * 1024;

/**
 * The one writer of a carrier. Control frames go first, DATA frames take turns in the order in which they came; what
 * waits together is written together.
 *
 * At most one DATA frame of each stream waits here (its `write` does), so the queue is bounded by the streams.
 */
export class FrameWriter {
  readonly #carrier: Pick<Duplex, "write">;
  readonly #onError: (error: unknown) => void;
  readonly #batch = new Uint8Array(BATCH_BYTES);
  #control: Frame[] = [];
  #data: { frame: Frame; written: PromiseWithResolvers<void> }[] = [];
  #idle: Promise<void> | undefined;
  #failed: { error: unknown } | undefined;
  /** When bytes last went out, in milliseconds of `performance.now`. */
  lastWriteMs = performance.now();

  constructor(carrier: Pick<Duplex, "write">, onError: (error: unknown) => void) {
    this.#carrier = carrier;
    this.#onError = onError;
  }

  /** Queues a control frame; its payload must not change afterwards. */
  control(frame: Frame): void {
    if (this.#failed) return;
    this.#control.push(frame);
    this.#start();
  }

  /** Writes a DATA frame and waits until the carrier has taken it; then the payload may change again. */
  async data(stream: number, payload: Uint8Array): Promise<void> {
    if (this.#failed) throw this.#failed.error;
    const written = Promise.withResolvers<void>();
    this.#data.push({ frame: { type: FrameType.DATA, stream, payload }, written });
    this.#start();
    await written.promise;
  }

  /** Waits until nothing is waiting. */
  async drained(): Promise<void> {
    await this.#idle;
  }

  /** Ends all waits with `error`; nothing is written any more. */
  fail(error: unknown): void {
    if (this.#failed) return;
    this.#failed = { error };
    this.#control = [];
    for (const { written } of this.#data.splice(0)) written.reject(error);
  }

  #start(): void {
    this.#idle ??= this.#run();
  }

  async #run(): Promise<void> {
    await undefined; // what is queued in the same turn of the event loop goes out together
    while (this.#failed === undefined && this.#control.length + this.#data.length > 0) {
      const taken: PromiseWithResolvers<void>[] = [];
      try {
        await writeAll(this.#carrier, this.#batch.subarray(0, this.#fill(taken)));
        this.lastWriteMs = performance.now();
        for (const written of taken) written.resolve();
      } catch (error) {
        for (const written of taken) written.reject(error);
        this.fail(error);
        this.#onError(error);
      }
    }
    this.#idle = undefined; // in the same turn as the last look at the queues: a frame queued later starts a new run
  }

  /** Encodes as many waiting frames as the batch holds, and returns its length. */
  #fill(taken: PromiseWithResolvers<void>[]): number {
    let end = 0;
    const fits = (frame: Frame) => end + HEADER_BYTES + frame.payload.length <= BATCH_BYTES;
    const control = this.#control;
    let count = 0;
    for (; count < control.length; count++) {
      const frame = control[count];
      if (frame === undefined || !fits(frame)) break;
      end = encodeFrame(frame, this.#batch, end);
    }
    control.splice(0, count);
    if (control.length > 0) return end;
    for (count = 0; count < this.#data.length; count++) {
      const item = this.#data[count];
      if (item === undefined || !fits(item.frame)) break;
      end = encodeFrame(item.frame, this.#batch, end);
      taken.push(item.written);
    }
    this.#data.splice(0, count);
    return end;
  }
}
