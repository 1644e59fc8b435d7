/** How far from where the last READs ended one may be that goes on: the kernel asks from several threads at once. */
const NEAR_BYTES = 1024 * 1024;
/** So much read in order is no small file, and no accident. */
const ENOUGH_BYTES = 128 * 1024;
/** What was longer ago than this counts half. */
const MEMORY_BYTES = 2 * 1024 * 1024;
/** How much of what a sequence has passed over it must have read. */
const DENSE = 0.75;

/** Whether a file is read from front to back, by the READs that there were. */
export class Sequence {
  #end = 0;
  /** How far the end has come, and how much was read on the way. */
  #span = 0;
  #read = 0;

  /** Where the furthest READ of the sequence ended. */
  get end(): number {
    return this.#end;
  }

  /** Up to where what lies behind may still be asked for. */
  get passed(): number {
    return this.#end - NEAR_BYTES;
  }

  /** Whether it is worth while to ask ahead. */
  get isSteady(): boolean {
    return this.#span >= ENOUGH_BYTES && this.#read >= DENSE * this.#span;
  }

  /** Takes a READ. @returns whether it goes on with what was read, and whether it has got further */
  take(offset: number, length: number): { readonly goesOn: boolean; readonly advanced: boolean } {
    const end = offset + length;
    if (offset > this.#end + NEAR_BYTES || end < this.passed) {
      this.restart();
      this.#end = end;
      return { goesOn: false, advanced: false };
    }
    const advanced = end > this.#end;
    if (advanced) {
      this.#span += end - this.#end;
      this.#end = end;
    }
    this.#read = Math.min(this.#read + length, this.#span);
    if (this.#span > MEMORY_BYTES) {
      this.#span /= 2;
      this.#read /= 2;
    }
    return { goesOn: true, advanced };
  }

  /** Begins anew: what comes has yet to show that it is one. */
  restart(): void {
    this.#span = 0;
    this.#read = 0;
  }
}
