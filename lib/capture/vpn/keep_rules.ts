import { type Log, silentLog } from "@/log/mod.ts";
import { messageOf } from "@/util/mod.ts";
import { repeat } from "./repeat.ts";

/** What others may take away, and how it is made again. */
export interface Rules {
  /** Looks what of it is gone, in words for the user. */
  gone(): Promise<readonly string[]>;
  /** Makes again what is gone. */
  restore(): Promise<void>;
}

/** Options of {@linkcode keepRules}. */
export interface KeepOptions {
  /** Tells the user. */
  readonly say: (line: string) => void;
  /** The pause between two looks. */
  readonly lookMs: number;
  readonly log?: Log;
  /** The clock, in milliseconds. @default {performance.now} */
  readonly now?: () => number;
}

/** How often something is made again within that time: who takes it away more often means it. */
const MOST_TIMES = 5;
const WITHIN_MS = 10 * 60_000;

const NOT_KEPT =
  "Programs of this machine may not reach the cluster any more. Stop what takes it away (a firewall or " +
  "network service that is loaded anew) and start the session again; --method namespace does without";

/**
 * Looks again and again whether others have taken away what the session has made on this machine, and makes it again.
 * The user is told the first time, the log each time. Where it goes on, it is left to the others, and the user told what
 * that means.
 */
export function keepRules(rules: Rules, options: KeepOptions): Disposable {
  const { say, lookMs, log = silentLog, now = () => performance.now() } = options;
  let times: number[] = [];
  let isTold = false;
  let over = false;
  const look = async () => {
    const gone = await rules.gone();
    if (gone.length === 0) return;
    const what = gone.join(", ");
    times = [...times.filter((time) => now() - time < WITHIN_MS), now()];
    if (times.length > MOST_TIMES) {
      repeating[Symbol.dispose]();
      return say(`Another program takes away again and again what leads to the cluster here (${what}). ${NOT_KEPT}`);
    }
    const failure = await rules.restore().then(() => undefined, messageOf);
    if (over) return; // whose helper has ended could restore nothing
    const told = failure === undefined
      ? `Another program took away what leads to the cluster here (${what}): it is made again`
      : `Another program took away what leads to the cluster here (${what}), and it cannot be made again yet: ${failure}`;
    log.info(told);
    if (!isTold) say(told);
    isTold = true;
  };
  const repeating = repeat(look, lookMs, (error) => log.debug(`vpn-tcp: ${messageOf(error)}`));
  return {
    [Symbol.dispose]() {
      over = true;
      repeating[Symbol.dispose]();
    },
  };
}
