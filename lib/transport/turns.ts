import { nextTurn } from "@/util/mod.ts";

/** How much all carriers of a link carry before they wait together: about a millisecond of work. */
const TURN_BYTES = 512 * 1024;
/** Less than this is no bulk: it does not wait for a turn of others. */
const SMALL_BYTES = 8 * 1024;

/**
 * Makes the carriers of a link let go of the runtime together, now and then. One that is always ready would keep the
 * others', and everybody's, news from being seen (`nextTurn` tells why), so it is not enough that each waits alone.
 */
export class Turns {
  #spent = 0;
  #turn: Promise<void> | undefined;

  /** Counts what was carried, and waits when it is time. */
  async spend(bytes: number): Promise<void> {
    this.#spent += bytes;
    if (this.#spent >= TURN_BYTES) {
      this.#spent = 0;
      this.#turn ??= nextTurn().finally(() => this.#turn = undefined);
    }
    if (this.#turn !== undefined && bytes >= SMALL_BYTES) await this.#turn;
  }
}
