/**
 * Letting the runtime look at its connections.
 *
 * A loop over reads or writes that find their connection ready is resolved at once and never leaves the present turn;
 * and while any loop is always ready, the runtime asks the system for news of other connections only every 61st turn
 * (tokio's event interval): 5 to 90 ms in which a small answer waits unseen (measured with Deno 2.9.6; neither
 * `setImmediate` nor a microtask changes that; a timer does, and costs milliseconds). A call that another thread answers
 * makes the runtime wait for news, some 30 µs, and all connections have their turn.
 *
 * It helps only when all busy loops wait together, and the runtime they share is one for the process: so is what they
 * count here.
 *
 * @module
 */

/** How much all loops carry before they wait: a millisecond or two of work. */
const TURN_BYTES = 512 * 1024;
/** The same for as long after somebody has said something small: who does it again waits for a turn at each end. */
const SHORT_TURN_BYTES = 64 * 1024;
const TALK_MS = 100;
/** Less than this is no bulk: it does not wait for a turn of others. */
const SMALL_BYTES = 8 * 1024;
/** Anything small: what is wanted is the way to another thread and back. */
const NOTHING = new Uint8Array(1);

class Turns {
  #spent = 0;
  #turn: Promise<void> | undefined;
  #talkMs = -Infinity;

  hearTalk(now: number): void {
    this.#talkMs = now;
  }

  async spend(bytes: number): Promise<void> {
    this.#spent += bytes;
    const isTalk = this.#spent >= SHORT_TURN_BYTES && performance.now() - this.#talkMs < TALK_MS;
    if (this.#spent >= (isTalk ? SHORT_TURN_BYTES : TURN_BYTES)) {
      this.#spent = 0;
      this.#turn ??= this.#take();
    }
    if (this.#turn !== undefined && bytes >= SMALL_BYTES) await this.#turn;
  }

  async over(): Promise<void> {
    await this.#turn;
  }

  async #take(): Promise<void> {
    await crypto.subtle.digest("SHA-1", NOTHING);
    this.#turn = undefined;
  }
}

const turns = new Turns();

/** Counts what a busy loop has carried, and lets everything else go first when that is much. */
export async function spendTurn(bytes: number): Promise<void> {
  await turns.spend(bytes);
}

/** What is said on one connection of many, in both directions. */
export class Talk {
  #bulkMs = -Infinity;

  /** As {@linkcode spendTurn}; turns are short for a while after something small on a connection without bulk. */
  async spendTurn(bytes: number): Promise<void> {
    const now = performance.now();
    if (bytes >= SMALL_BYTES) this.#bulkMs = now;
    else if (now - this.#bulkMs >= TALK_MS) turns.hearTalk(now);
    await turns.spend(bytes);
  }
}

/** Waits for the turn that others are taking, if there is one: who ends leaves none under way. */
export async function turnOver(): Promise<void> {
  await turns.over();
}
