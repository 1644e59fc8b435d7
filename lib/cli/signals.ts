/**
 * Signals of the system, and errors that nobody waited for, end a session through its one `AbortSignal`, so that what
 * was changed is given back. The first one starts the end. The second does not break the clean-up, which alone can give
 * the cluster back, and says so. The third is obeyed: it says what is left and ends the process at once.
 *
 * @module
 */

import { unfold } from "@/util/mod.ts";

/** The signals that end a session, with their numbers (the same on Linux and macOS). */
export const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

/** A signal that ends a session. */
export type SignalName = keyof typeof SIGNALS;

/** Why a session ended early: the user, or whoever else may, told it to. */
export class Interrupted extends Error {
  /** What it is called where only its name is known. */
  override readonly name = "Interrupted";
  /** The signal. */
  readonly signal: SignalName;

  /** The end by this signal, in the words of Telepresence 1. */
  constructor(signal: SignalName) {
    super(signal === "SIGINT" ? "Keyboard interrupt (Ctrl-C/Ctrl-Break) pressed" : `Received signal ${signal}`);
    this.signal = signal;
  }

  /** The exit code by the shell's custom. */
  get exitCode(): number {
    return 128 + SIGNALS[this.signal];
  }
}

/** Options of {@linkcode untilSignal}. */
export interface UntilSignalOptions {
  /** Tells the user what happens. */
  readonly say: (line: string) => void;
  /** Names of what would be left if the process ended now. */
  readonly leftovers: () => readonly string[];
  /** Ends the process at once. */
  readonly exit: (code: number) => void;
  /** Calls back at each signal, until disposed of. @default {those of the system} */
  readonly listen?: (callback: (signal: SignalName) => void) => Disposable;
  /** The clock, in milliseconds. @default {performance.now} */
  readonly now?: () => number;
}

/**
 * Signals this close are one: a terminal that closes sends SIGHUP more than once, `make` passes on the Ctrl-C that the
 * program has got already, and a key that is held down repeats itself.
 */
const ONE_WISH_MS = 250;

/**
 * Runs `body` under one signal that SIGINT, SIGTERM or SIGHUP aborts with {@linkcode Interrupted}, and an error that
 * nobody waited for with itself: Deno would end the process at it, without giving anything back.
 *
 * @throws what the body throws, and the errors that nobody waited for, even if the body returned
 */
export async function untilSignal<T>(
  body: (signal: AbortSignal) => Promise<T>,
  options: UntilSignalOptions,
): Promise<T> {
  const { say, leftovers, exit, listen = listenToSystem, now = () => performance.now() } = options;
  const controller = new AbortController();
  let wishes = 0;
  let last = -Infinity;
  using _signals = listen((name) => {
    if (now() - last < ONE_WISH_MS) return;
    last = now();
    wishes++;
    const reason = new Interrupted(name);
    if (wishes === 1) {
      say(`${reason.message}. Cleaning up ...`);
      controller.abort(reason);
    } else if (wishes === 2) {
      say("Still cleaning up ... Once more ends telepresence at once and leaves things behind.");
    } else {
      farewell(leftovers()).forEach(say);
      exit(reason.exitCode);
    }
  });
  const strays: unknown[] = [];
  using _strays = listenToStrays((error) => {
    if (controller.signal.aborted && error === controller.signal.reason) return; // an echo of the end, and no news
    strays.push(error);
    controller.abort(error);
  });
  const [ended] = await Promise.allSettled([body(controller.signal)]);
  if (ended.status === "fulfilled" && strays.length === 0) return ended.value;
  const known = ended.status === "rejected" ? unfold(ended.reason) : [];
  const errors = strays.filter((stray) => !known.includes(stray));
  if (ended.status === "rejected") errors.unshift(ended.reason);
  throw errors.length === 1 ? errors[0] : new AggregateError(errors);
}

function farewell(names: readonly string[]): string[] {
  if (names.length === 0) return ["Ended before the clean-up was done. Nothing is known to be left."];
  return [
    "Ended before the clean-up was done. This is left, to be deleted by hand:",
    ...names.map((name) => `  ${name}`),
  ];
}

function listenToSystem(callback: (signal: SignalName) => void): Disposable {
  const stack = new DisposableStack();
  for (const name of Object.keys(SIGNALS) as SignalName[]) {
    const listener = () => callback(name);
    Deno.addSignalListener(name, listener);
    stack.defer(() => Deno.removeSignalListener(name, listener));
  }
  return stack;
}

function listenToStrays(callback: (error: unknown) => void): Disposable {
  const stack = new DisposableStack();
  const onRejection = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    callback(event.reason);
  };
  const onError = (event: ErrorEvent) => {
    event.preventDefault();
    callback(event.error);
  };
  globalThis.addEventListener("unhandledrejection", onRejection);
  stack.defer(() => globalThis.removeEventListener("unhandledrejection", onRejection));
  globalThis.addEventListener("error", onError);
  stack.defer(() => globalThis.removeEventListener("error", onError));
  return stack;
}
