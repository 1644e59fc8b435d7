/**
 * A pod that outlives its tunnels: when the one behind it is gone, another is found and takes its place.
 *
 * Theory of operation. The link's key and what could resume it live in the agent, so another agent means another link:
 * nothing of the old one is carried over. What was open ends as it does when a machine goes (its reads and writes
 * fail). What is asked from then on waits for the next pod, and so does what was asked and not yet answered: a dial, a
 * lookup or a listen that was under way has given nobody anything, so it may be asked again. Listeners are bound again
 * in each new pod, before whoever opened the pod hears of it. A connection to the files goes on with the next pod's
 * (`lasting_files.ts`), as a mount stays where it is.
 *
 * @module
 */
import { type Log, silentLog } from "@/log/mod.ts";
import { abortable, type Duplex, messageOf } from "@/util/mod.ts";
import { greetFileServer, openLastingFiles } from "./lasting_files.ts";
import type {
  Address,
  Answer,
  DatagramFlow,
  DnsAnswer,
  FilesOptions,
  ListenOptions,
  LookupOptions,
  Pod,
  PodConnection,
  PodFiles,
  PodListener,
  PodSession,
  Waiting,
} from "./pod.ts";
import type { LinkedPod } from "./pod_client.ts";

/** How a pod comes to its next tunnel. */
export interface LastingOptions {
  /**
   * Finds the pod that comes after one that was lost.
   *
   * @throws when there is none: that is the end
   */
  readonly next: (loss: unknown, signal: AbortSignal) => Promise<LinkedPod>;
  /**
   * Called when a next pod is there and its listeners are bound. What it throws is the end, but for what the loss of
   * that pod, too, made it throw.
   */
  readonly attached?: (signal: AbortSignal) => Promise<void>;
  readonly log?: Log;
}

/**
 * Opens a pod that lasts, over its first tunnel, which it owns from here. Its `closed` rejects when there is no next
 * pod, with what `next` threw.
 */
export function openLastingPod(first: LinkedPod, options: LastingOptions): LinkedPod {
  return new LastingPod(first, options);
}

class LastingPod implements LinkedPod {
  readonly closed: Promise<void>;
  readonly #options: LastingOptions;
  readonly #ending = new AbortController();
  readonly #listeners = new Set<LastingListener>();
  /** The tunnel that things are asked over, or the wait for it; rejects when there will be none. */
  #current: Promise<LinkedPod>;

  constructor(first: LinkedPod, options: LastingOptions) {
    this.#options = options;
    this.#current = Promise.resolve(first);
    this.closed = this.#keep(first);
    this.closed.catch((error) => {
      for (const listener of this.#listeners) listener.end({ error });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort(new Error("The pod was closed"));
    const pod = await this.#current.catch(() => undefined);
    await pod?.[Symbol.asyncDispose]();
    await this.closed.catch(() => {}); // told to whoever asked for it
  }

  async dial(address: Address, options: Waiting = {}): Promise<Duplex> {
    return await this.#ask((pod) => pod.dial(address, options), options);
  }

  async lookup(name: string, options: LookupOptions = {}): Promise<Answer> {
    return await this.#ask((pod) => pod.lookup(name, options), options);
  }

  async resolve(name: string, type: number, options: Waiting = {}): Promise<DnsAnswer> {
    return await this.#ask((pod) => pod.resolve(name, type, options), options);
  }

  async datagrams(address: Address, options: Waiting = {}): Promise<DatagramFlow> {
    return await this.#ask((pod) => pod.datagrams(address, options), options);
  }

  async environment(options: Waiting = {}): Promise<Record<string, string>> {
    return await this.#ask((pod) => pod.environment(options), options);
  }

  async sessions(options: Waiting = {}): Promise<readonly PodSession[]> {
    return await this.#ask((pod) => pod.sessions(options), options);
  }

  async files(mounts: readonly string[], options: FilesOptions = {}): Promise<PodFiles> {
    const first = await this.#ask((pod) => pod.files(mounts, options), options);
    const duplex = openLastingFiles(first.duplex, async (ending) => {
      const signal = options.signal ? AbortSignal.any([options.signal, ending]) : ending;
      const greet = async (pod: Pod) => greetFileServer((await pod.files(mounts, { signal })).duplex, signal);
      return await this.#ask(greet, { signal });
    }, options);
    return { mounts: first.mounts, duplex };
  }

  async listen(port: number, options: ListenOptions = {}): Promise<PodListener> {
    const { loopback = false } = options;
    const bind = (pod: LinkedPod, signal?: AbortSignal) => pod.listen(port, { loopback, ...(signal && { signal }) });
    const listener = new LastingListener(port, bind, () => this.#listeners.delete(listener));
    // Known from the moment that it is bound, so that no pod can come in between without its being bound again there.
    await this.#ask(async (pod) => {
      await listener.bindIn(pod, options.signal);
      this.#listeners.add(listener);
    }, options);
    return listener;
  }

  /** Asks the pod of this time; when that was lost meanwhile, the next one. */
  async #ask<T>(act: (pod: LinkedPod) => Promise<T>, { signal }: Waiting): Promise<T> {
    for (;;) {
      const pod = await abortable(this.#current, signal);
      try {
        return await act(pod);
      } catch (error) {
        signal?.throwIfAborted();
        if (!await isLost(pod)) throw error;
      }
    }
  }

  /** Sees to it that there is a pod, until there is none or it is not wanted any more. */
  async #keep(first: LinkedPod): Promise<void> {
    const { next, log = silentLog } = this.#options;
    const { signal } = this.#ending;
    for (let pod = first;;) {
      const loss = await lossOf(pod);
      if (signal.aborted) return;
      const following = next(loss.error, signal);
      this.#current = following; // in the same turn in which the loss is known: nobody asks the lost one twice
      following.catch(() => {});
      log.info(`The pod is lost: ${messageOf(loss.error)}`);
      try {
        pod = await following;
      } catch (error) {
        if (signal.aborted) return;
        throw error;
      }
      try {
        await Promise.all([...this.#listeners].map((listener) => listener.bindIn(pod, signal)));
        await this.#options.attached?.(signal);
      } catch (error) {
        if (signal.aborted) return;
        if (await isLost(pod)) continue; // the next one does it all again
        await pod[Symbol.asyncDispose]();
        this.#current = Promise.reject(error);
        this.#current.catch(() => {});
        throw error;
      }
    }
  }
}

/** How a pod ended that nobody closed. One that ends in order never ends for this purpose: whoever closed it knows. */
async function lossOf(pod: LinkedPod): Promise<{ readonly error: unknown }> {
  try {
    await pod.closed;
    return { error: new Error("The tunnel was closed") };
  } catch (error) {
    return { error };
  }
}

/** Whether a pod's tunnel is over, whatever became of what was asked over it. */
async function isLost(pod: LinkedPod): Promise<boolean> {
  const { promise: later, resolve } = Promise.withResolvers<false>();
  const timer = setTimeout(resolve, 0, false as const); // what has ended is heard of before this
  try {
    return await Promise.race([pod.closed.then(() => true, () => true), later]);
  } finally {
    clearTimeout(timer);
  }
}

/** A port that is listened on in each pod in its turn. */
class LastingListener implements PodListener {
  readonly port: number;
  readonly #bind: (pod: LinkedPod, signal?: AbortSignal) => Promise<PodListener>;
  readonly #forget: () => void;
  #bound: PodListener | undefined;
  #ended: { readonly error?: unknown } | undefined;
  /** Resolves at the next change of what is bound. */
  #changed = Promise.withResolvers<void>();

  constructor(
    port: number,
    bind: (pod: LinkedPod, signal?: AbortSignal) => Promise<PodListener>,
    forget: () => void,
  ) {
    this.port = port;
    this.#bind = bind;
    this.#forget = forget;
  }

  async bindIn(pod: LinkedPod, signal?: AbortSignal): Promise<void> {
    const bound = await this.#bind(pod, signal);
    if (this.#ended) return await bound[Symbol.asyncDispose]();
    this.#bound = bound;
    this.#change();
  }

  /** There will be no other pod. */
  end(how: { readonly error?: unknown }): void {
    if (this.#ended) return;
    this.#ended = how;
    this.#change();
  }

  async *accepted(): AsyncIterable<PodConnection> {
    for (;;) {
      const { promise: change } = this.#changed;
      const bound = this.#bound;
      try {
        if (bound) yield* bound.accepted();
      } catch {
        // Its pod is lost: whether another follows is told by the next change.
      }
      if (this.#ended === undefined && bound === this.#bound) await change;
      if (this.#ended?.error !== undefined) throw this.#ended.error;
      if (this.#ended) return;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.end({});
    this.#forget();
    await this.#bound?.[Symbol.asyncDispose]();
  }

  #change(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}
