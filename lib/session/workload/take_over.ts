/**
 * Taking a workload over from the session that has it (`--take-over`).
 *
 * Theory of operation. The claim on the workload (claim.ts) is where both sessions meet, wherever they run. The one that
 * wants it writes its name on the claim; the one that has it watches the claim, writes that it has heard, ends as by a
 * signal, and gives everything back, the claim last. When the claim is gone the workload is as it was, and is swapped
 * like any other. Who does not answer is not there: then what it has is given back from what the cluster says, as
 * `telepresence recover` does, and should it (or its guardian) come back, it finds somebody else's claim and leaves the
 * workload alone (undo.ts).
 *
 * @module
 */
import { type ConfigMap, configMaps, isConflict, isNotFound, type KubeClient, type Metadata } from "@/kube/mod.ts";
import type { Log } from "@/log/mod.ts";
import { messageOf, sleep, UserError } from "@/util/mod.ts";
import { SESSION_LABEL } from "../labels.ts";
import { recoverBy } from "../safety/record.ts";
import { type Holder, holderOf, nameOfClaim } from "./claim.ts";
import type { WorkloadName } from "./original.ts";

/** In the claim: who wants the workload, as `user@host`. */
const WANTED_BY = "wantedBy";
/** In the claim: since when the holder has been giving it back. */
const ENDING = "ending";
/** How long a holder may take to say that it has heard: a watch that is opened again takes a moment. */
const HEARD_WITHIN_MS = 10_000;
/** How long it may then take: its command ends, and it serves until the original is ready. */
const ENDED_WITHIN_MS = 120_000;
const PAUSE_MS = 250;

/** Another session took the workload over. */
export class TakenOver extends UserError {}

/** What taking over needs. */
export interface TakeOverOptions {
  readonly kube: KubeClient;
  readonly namespace: string;
  /** Who we are, as `user@host`. */
  readonly by: string;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
  /** Gives back what a session has that does not answer. @throws {UserError} when that is not possible */
  readonly recover: (sessionId: string) => Promise<void>;
  /** @default {10 s} */
  readonly heardWithinMs?: number;
}

/**
 * Has the session that has a workload give it back, and waits for that; nothing happens when nobody has it.
 *
 * @throws {UserError} when it cannot be had
 */
export async function takeOver(workload: WorkloadName, options: TakeOverOptions): Promise<void> {
  const { say, signal, recover, heardWithinMs = HEARD_WITHIN_MS } = options;
  const claim = await markWanted(workload, options);
  if (claim === undefined) return;
  const holder = holderOf(claim);
  say(`Taking ${workload.kind} "${workload.name}" over from ${holder.by}, who has it since ${holder.since}`);
  const start = performance.now();
  for (let heard = false;;) {
    const now = await findClaim(workload, options);
    if (now?.metadata.uid !== claim.metadata.uid) return; // given back; should somebody else have been quicker, it is told
    heard ||= now.data[ENDING] !== undefined;
    const waitedMs = performance.now() - start;
    if (!heard && waitedMs > heardWithinMs) break;
    if (waitedMs > ENDED_WITHIN_MS) throw tooLong(workload, holder, options);
    await sleep(PAUSE_MS, signal);
  }
  say("That session does not answer, so what it has is given back for it");
  await recover(holder.sessionId);
}

/** Writes on the claim who wants it. @returns the claim; undefined when there is none */
async function markWanted(workload: WorkloadName, options: TakeOverOptions): Promise<ConfigMap | undefined> {
  const { kube, namespace, by, signal } = options;
  for (;;) {
    const claim = await findClaim(workload, options);
    if (claim === undefined) return undefined;
    const { name, uid, resourceVersion } = claim.metadata;
    const body = { metadata: { uid, resourceVersion }, data: { [WANTED_BY]: by } };
    try {
      return await kube.patch(configMaps, { namespace, name }, { type: "merge", body }, { signal });
    } catch (error) {
      if (!isConflict(error) && !isNotFound(error)) throw error; // it was changed or given back in this moment
    }
  }
}

async function findClaim(
  workload: WorkloadName,
  { kube, namespace, signal }: Pick<TakeOverOptions, "kube" | "namespace" | "signal">,
): Promise<ConfigMap | undefined> {
  try {
    return await kube.get(configMaps, { namespace, name: nameOfClaim(workload) }, { signal });
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

function tooLong({ kind, name }: WorkloadName, { by, sessionId }: Holder, { namespace }: TakeOverOptions): UserError {
  return new UserError(
    `Cannot take ${kind} "${name}" over: ${by} has been giving it back for ${ENDED_WITHIN_MS / 1000} s`,
    { hints: [`${recoverBy({ namespace, sessionId })} gives it back for them`] },
  );
}

/** A claim that is watched. Disposing it ends the watch. */
export interface WatchedClaim extends AsyncDisposable {
  /** Rejects with {@linkcode TakenOver} when somebody else is to have the workload; never resolves before the end. */
  readonly closed: Promise<void>;
}

/** Watches our claim for somebody who wants the workload. Where we may not, nobody can take it over while we run. */
export function watchClaim(
  workload: WorkloadName,
  { kube, namespace, sessionId, log }: {
    readonly kube: KubeClient;
    readonly namespace: string;
    readonly sessionId: string;
    readonly log: Log;
  },
): WatchedClaim {
  const ending = new AbortController();
  const { signal } = ending;
  const closed = watch();
  closed.catch(() => {}); // who wants to know, asks
  return {
    closed,
    async [Symbol.asyncDispose]() {
      ending.abort();
      await closed.catch(() => {});
    },
  };

  async function watch(): Promise<void> {
    const name = nameOfClaim(workload);
    const lead = `Cannot keep ${workload.kind} "${workload.name}": it`;
    const where = { namespace, fieldSelector: `metadata.name=${name}` };
    try {
      for await (const { type, object } of kube.watch(configMaps, where, { signal })) {
        if (object.metadata.labels[SESSION_LABEL] !== sessionId) continue; // of one before us
        if (type === "DELETED") throw new TakenOver(`${lead} was given back by somebody else`);
        const by = object.data[WANTED_BY];
        if (by === undefined) continue;
        await sayHeard(object.metadata);
        throw new TakenOver(`${lead} is taken over by ${by}`);
      }
    } catch (error) {
      if (error instanceof TakenOver) throw error;
      if (!signal.aborted) log.info(`The claim is not watched: ${messageOf(error)}`);
    }
  }

  /** On our claim alone: who was asleep meanwhile finds the next holder's under the same name. */
  async function sayHeard({ name, uid }: Metadata): Promise<void> {
    const body = { metadata: { uid }, data: { [ENDING]: new Date().toISOString() } };
    try {
      await kube.patch(configMaps, { namespace, name }, { type: "merge", body }, { signal });
    } catch (error) {
      log.info(`Who takes over has not heard of us: ${messageOf(error)}`); // and gives back for us, or has done so
    }
  }
}
