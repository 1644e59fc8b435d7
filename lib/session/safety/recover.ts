/**
 * Healing: what a session that is gone left is given back from its journal, or, where there is none (another machine),
 * from what the cluster says.
 *
 * @module
 */
import {
  configMaps,
  deployments,
  isForbidden,
  isUnauthorized,
  type KubeClient,
  loadKubeconfig,
  openKubeClient,
  services,
} from "@/kube/mod.ts";
import { isMachineLeft, recoverMachine } from "@/capture/mod.ts";
import type { Log } from "@/log/mod.ts";
import { messageOf, UserError } from "@/util/mod.ts";
import { SESSION_LABEL } from "../labels.ts";
import type { Wanted } from "../plan/plan.ts";
import { CLAIM_LABEL, placeOfClaim } from "../workload/claim.ts";
import { hasSteps, journalDirectory, readJournals, removeRecord, type StoredRecord } from "./journal.ts";
import { isRunning, isSuspended } from "./process_identity.ts";
import { leftoverOf, recoverBy, type Step } from "./record.ts";
import { makeCleanUp, undoAll, type Undone } from "./undo.ts";

/** What healing needs of the machine. */
export interface RecoverOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly home: string;
  readonly log: Log;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
  /** Gives the program that gives a machine back, undefined where there is none. */
  readonly netns?: () => Promise<Uint8Array<ArrayBuffer> | undefined>;
}

/** Which sessions are meant. */
export interface RecoverWanted {
  readonly context?: string;
  readonly namespace?: string;
  /** Beginnings of session ids; all that are left over on this machine when empty. */
  readonly sessions: readonly string[];
}

/** The journals of sessions that are not running any more and left something. */
export async function readLeftOver(where: Pick<RecoverOptions, "env" | "home" | "say">): Promise<StoredRecord[]> {
  return (await readGone(where)).filter(hasSteps);
}

async function readGone({ env, home, say }: Pick<RecoverOptions, "env" | "home" | "say">): Promise<StoredRecord[]> {
  return (await readJournals(journalDirectory(env, home), say)).filter(({ record }) => !isRunning(record.process));
}

/** Like {@linkcode readLeftOver}; takes the journals away that have nothing to undo in them. */
async function takeLeftOver(where: Pick<RecoverOptions, "env" | "home" | "say">): Promise<StoredRecord[]> {
  const gone = await readGone(where);
  for (const each of gone) if (!hasSteps(each)) await removeRecord(each.path);
  return gone.filter(hasSteps);
}

/**
 * Gives back what sessions left.
 *
 * @returns the exit code: 0 when nothing is left
 * @throws {UserError} when a session that is named is running or is not known
 */
export async function recover(wanted: RecoverWanted, options: RecoverOptions): Promise<number> {
  const { say } = options;
  let unread = 0;
  const left = await takeLeftOver({
    ...options,
    say: (line) => {
      unread++;
      say(line);
    },
  });
  if (wanted.sessions.length === 0) {
    const hadMachine = await isMachineLeft();
    if (left.length === 0 && !hadMachine && unread === 0) say("Nothing is left over by sessions of this machine.");
    const isMachineBack = !hadMachine || await recoverNetwork(options);
    return await recoverStored(left, options) && isMachineBack && unread === 0 ? 0 : 255;
  }
  let isWhole = true;
  for (const session of wanted.sessions) {
    const stored = left.find(({ record }) => record.sessionId.startsWith(session));
    const isBack = stored === undefined
      ? await recoverFound(session, wanted, options)
      : await recoverStored([stored], options);
    isWhole &&= isBack;
  }
  return isWhole ? 0 : 255;
}

/**
 * What is left over is given back before a new session starts, when the user says so: by a flag, or when asked.
 */
export async function healBefore(
  wanted: Wanted,
  around: Omit<RecoverOptions, "say"> & {
    readonly teller: { say(line: string): void };
    readonly ask?: (question: string) => Promise<boolean>;
  },
): Promise<void> {
  const { say } = around.teller;
  const left = await takeLeftOver({ ...around, say });
  const hadMachine = await isMachineLeft();
  if (left.length === 0 && !hadMachine) return;
  if (hadMachine) say("A session that is gone left this machine's routes and firewall rules as it had them.");
  for (const { record } of left) {
    const things = record.steps.map(leftoverOf).join(", ");
    say(`A session that is gone (${record.doing}, since ${record.since}) left in "${record.namespace}": ${things}`);
  }
  const isWanted = wanted.recover || await around.ask?.("Give it back now?");
  if (isWanted && hadMachine) await recoverNetwork({ ...around, say });
  if (isWanted) await recoverStored(left, { ...around, say });
  else say("To give it back: telepresence recover (or --recover with the next session)");
}

/** This machine's own network, as it was before a session of vpn-tcp. @returns whether it is */
async function recoverNetwork(
  { netns = () => Promise.resolve(undefined), log, say }: RecoverOptions,
): Promise<boolean> {
  try {
    const helper = await netns();
    if (helper === undefined) throw new UserError("Cannot give back this machine's network: its program is not here");
    await recoverMachine(helper, { log });
    say("Gave back this machine's routes and firewall rules");
    return true;
  } catch (error) {
    tellFailure(error, say);
    return false;
  }
}

/** @returns whether nothing is left of them */
async function recoverStored(stored: readonly StoredRecord[], options: RecoverOptions): Promise<boolean> {
  const { env, home, log, say } = options;
  let isWhole = true;
  for (const { path, record } of stored) {
    const { sessionId, namespace, cluster } = record;
    try {
      const asThen = cluster.kubeconfig === undefined ? env : { ...env, KUBECONFIG: cluster.kubeconfig };
      const config = await loadKubeconfig({ env: asThen, home, context: cluster.context });
      if (config.server !== cluster.server) {
        throw new UserError(
          `Cannot give back what session ${sessionId.slice(0, 10)} left: the context "${cluster.context}" means ` +
            `${config.server} by now, and then ${cluster.server}`,
        );
      }
      await using kube = openKubeClient(config, { log: log.room("API") });
      const isBack = await undoSteps(record.steps, { ...options, kube, namespace, sessionId, path });
      if (isBack) await removeRecord(path);
      isWhole &&= isBack;
    } catch (error) {
      isWhole = false;
      tellFailure(error, say);
    }
  }
  return isWhole;
}

/**
 * Gives back what a session has in the cluster, by what the cluster says: its claim, and the label of its objects.
 *
 * @returns whether nothing is left of it; true as well when nothing of it was there
 */
export async function recoverInCluster(
  sessionId: string,
  options: Pick<UndoStepsOptions, "kube" | "namespace" | "log" | "say" | "signal">,
): Promise<boolean> {
  const found = await findSteps(sessionId, options);
  return found === undefined || await undoSteps(found.steps, { ...options, sessionId: found.sessionId });
}

/** A session of another machine. */
async function recoverFound(session: string, wanted: RecoverWanted, options: RecoverOptions): Promise<boolean> {
  const { env, home, log, signal } = options;
  const running = await readJournals(journalDirectory(env, home), () => {}); // what cannot be read was told
  const own = running.find(({ record }) => record.sessionId.startsWith(session));
  if (own !== undefined) {
    const { pid } = own.record.process;
    const isStopped = isSuspended(pid);
    throw new UserError(
      `Cannot give back what session ${session} has: it is ${isStopped ? "stopped" : "running"} here`,
      {
        hints: [`kill ${pid}${isStopped ? ` && kill -CONT ${pid}` : ""} ends it, and it gives everything back`],
      },
    );
  }
  const config = await loadKubeconfig({ env, home, ...(wanted.context !== undefined && { context: wanted.context }) });
  await using kube = openKubeClient(config, { log: log.room("API") });
  const namespace = wanted.namespace ?? config.namespace;
  const found = await findSteps(session, { kube, namespace, signal });
  if (found === undefined) {
    throw new UserError(`Cannot find anything of session "${session}" in namespace "${namespace}"`, {
      hints: ["telepresence status --all-namespaces shows which sessions there are"],
    });
  }
  return await undoSteps(found.steps, { ...options, kube, namespace, sessionId: found.sessionId });
}

async function findSteps(
  session: string,
  { kube, namespace, signal }: { kube: KubeClient; namespace: string; signal: AbortSignal },
): Promise<{ sessionId: string; steps: Step[] } | undefined> {
  const where = { namespace, labelSelector: `${SESSION_LABEL},app.kubernetes.io/managed-by=telepresence` };
  const [maps, proxies, names] = await Promise.all([
    kube.list(configMaps, where, { signal }),
    kube.list(deployments, where, { signal }),
    kube.list(services, where, { signal }),
  ]);
  const all = [
    ...maps.items.map(({ metadata }) => ({ metadata, resource: "configmap" as const })),
    ...proxies.items.map(({ metadata }) => ({ metadata, resource: "deployment" as const })),
    ...names.items.map(({ metadata }) => ({ metadata, resource: "service" as const })),
  ];
  const ids = new Set(
    all.map(({ metadata }) => metadata.labels[SESSION_LABEL] ?? "").filter((id) => id.startsWith(session)),
  );
  const [sessionId] = ids;
  if (sessionId === undefined) return undefined;
  if (ids.size > 1) throw new UserError(`Cannot tell which session "${session}" is: there are ${[...ids].join(", ")}`);
  const ours = all.filter(({ metadata }) => metadata.labels[SESSION_LABEL] === sessionId);
  const claim = maps.items.find(({ metadata }) => {
    return metadata.labels[SESSION_LABEL] === sessionId && metadata.labels[CLAIM_LABEL] !== undefined;
  });
  return {
    sessionId,
    steps: [
      ...ours.map(({ metadata: { name, uid }, resource }) => ({ kind: "delete" as const, resource, name, uid })),
      ...(claim === undefined ? [] : [placeOfClaim(claim.data)]),
    ],
  };
}

interface UndoStepsOptions extends Pick<RecoverOptions, "log" | "say" | "signal"> {
  readonly kube: KubeClient;
  readonly namespace: string;
  readonly sessionId: string;
  /** The journal's file, where there is one. */
  readonly path?: string;
}

async function undoSteps(steps: readonly Step[], options: UndoStepsOptions): Promise<boolean> {
  const { namespace, say, path } = options;
  const done = (step: Step, undone: Undone) => {
    if (undone === "undone") say(`Gave back ${leftoverOf(step)} in namespace "${namespace}"`); // else it was told why not
    return Promise.resolve();
  };
  const failures = await undoAll({ steps: [...steps] }, done, { ...options, cleanUp: makeCleanUp() });
  failures.forEach((error) => tellFailure(error, say));
  const isForbiddenAll = failures.length > 0 && failures.every((error) => isForbidden(error) || isUnauthorized(error));
  if (isForbiddenAll) {
    say(`Hint: Whoever has the rights to give it back can do so from anywhere: ${recoverBy(options)}`);
  }
  // Rights go with their namespace, so that who had them there cannot learn that it is gone.
  if (isForbiddenAll && path) say(`Hint: If namespace "${namespace}" was deleted, all of it is gone: rm ${path}`);
  return failures.length === 0;
}

function tellFailure(error: unknown, say: (line: string) => void): void {
  say(messageOf(error));
  if (error instanceof UserError) error.hints.forEach((hint) => say(`Hint: ${hint}`));
}
