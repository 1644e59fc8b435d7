/**
 * One run, from what is wanted to the exit code. Its acts: *intent* asks and refuses and changes nothing; *action*
 * acquires one thing after another, each of which is given back in reverse, whatever happens.
 *
 * @module
 */
import {
  type Authorities,
  authoritiesOf,
  isNotFound,
  type KubeClient,
  loadKubeconfig,
  openKubeClient,
  type RuntimeAuthorities,
} from "@/kube/mod.ts";
import type { Log } from "@/log/mod.ts";
import { type Child, type Launcher, placeLauncher } from "@/process/mod.ts";
import { LinkLost, makeSessionKey } from "@/transport/mod.ts";
import { abortable, messageOf, unfold, UserError } from "@/util/mod.ts";
import { openVolumes } from "@/volumes/mod.ts";
import { tellAccount } from "./account.ts";
import { announce } from "./announce.ts";
import { chooseCapture } from "./choose_capture.ts";
import { exposePorts } from "./expose.ts";
import { forwardToPod } from "./forward.ts";
import { imageFor } from "./image.ts";
import { launch, prepareEnvironment, readContainer } from "./launch.ts";
import { type Again, openLastingTunnel } from "./lasting_tunnel.ts";
import { explainLoss } from "./loss.ts";
import type { ExposedPort, Plan, Wanted } from "./plan.ts";
import { prepare } from "./prepare.ts";
import { type Journal, journalDirectory } from "./safety/journal.ts";
import { healBefore, recoverInCluster } from "./safety/recover.ts";
import { nameOfUser, openSafety } from "./safety/safety.ts";
import { makeCleanUp } from "./safety/undo.ts";
import { shareTerminal } from "./share_terminal.ts";
import { showPlan } from "./show_plan.ts";
import type { Teller } from "./teller.ts";
import { openRecordFile, startRecord } from "./traffic/record.ts";
import { serveTraffic, trafficSocket } from "./traffic/serve_traffic.ts";
import { type Traffic, watchTraffic } from "./traffic/traffic.ts";
import { waysTo } from "./vpn_capture.ts";
import { acquireWorkload } from "./workload/acquire.ts";
import { readImageEnvironment } from "./workload/image_environment.ts";
import { takeOver, watchClaim } from "./workload/take_over.ts";

/** What a session is given by the program around it. */
export interface Around {
  readonly log: Log;
  /** Tells the user: `say` what must be known, `chat` what is good to know. */
  readonly teller: Teller;
  /** Ends the session early; its reason is what {@linkcode runSession} throws. Clean-up does not listen to it. */
  readonly signal: AbortSignal;
  readonly env: Readonly<Record<string, string>>;
  readonly home: string;
  /**
   * Told whose authorities the API server's certificate may be of, before anything is asked of it; says whom the runtime
   * trusts by itself from then on.
   *
   * @default {those that it trusts anyhow}
   */
  chooseAuthorities?(wanted: Authorities): RuntimeAuthorities;
  /** Takes a getter of what would be left in the cluster if the process ended now. */
  onLeftovers(names: () => readonly string[]): void;
  readonly version: string;
  /** The agent's program, one JavaScript file. */
  readonly agentSource: string;
  /** The agent's image where the user does not name another registry. */
  readonly agentImage: string;
  /** How this program is started again, as the guardian; without it a session has none. */
  readonly self?: (args: readonly string[]) => readonly [string, ...string[]];
  /** The user's terminal, as a path, for the guardian's words; undefined where there is none. */
  readonly terminal?: string | undefined;
  /** Writes what was asked for to the standard output. */
  print(text: string): void;
  /** Asks the user; undefined where nobody can answer. */
  readonly ask?: (question: string) => Promise<boolean>;
  /** The preload library for this machine, undefined where there is none. */
  readonly shim: Uint8Array<ArrayBuffer> | undefined;
  /** The launcher for this machine, where there is one: without it the command shares our process group. */
  readonly launcher?: Uint8Array<ArrayBuffer> | undefined;
  /** Gives the program that makes namespaces on this machine, undefined where there is none. */
  readonly netns?: () => Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** How the API server is spoken to. @default {openKubeClient} */
  readonly openKube?: typeof openKubeClient;
  /** How long the proxy may take to run. @default {120 s} */
  readonly readyMs?: number;
  /** How long its agent may then take to answer. @default {30 s} */
  readonly connectMs?: number;
  /** How long the API server may take to answer a create. @default {30 s} */
  readonly createMs?: number;
  /** How long the clean-up may take. @default {10 s} */
  readonly cleanUpMs?: number;
  /** How long a session whose workload is taken over may take to say that it has heard. @default {10 s} */
  readonly heardWithinMs?: number;
}

/**
 * Runs the user's command as if it were in a pod, and leaves the cluster as it was.
 *
 * @returns the command's exit code, also when a signal ended the session and the command chose a code itself
 * @throws {UserError} when it cannot be; the signal's reason when that ended it
 */
export async function runSession(wanted: Wanted, around: Around): Promise<number> {
  let chosen: number | undefined;
  const { teller } = around;
  const life: Life = { began: performance.now(), traffic: watchTraffic(), choose: (code) => chosen = code };
  try {
    await session(wanted, around, life);
  } catch (error) {
    if (chosen === undefined) throw error;
    teller.step(undefined);
    tellLeft(error, around); // the command has ended: what its caller waits for is its own code
  } finally {
    teller.step(undefined);
    const { began, traffic, journal } = life;
    const isChanged = journal !== undefined && journal.undone.length + journal.record.steps.length > 0;
    if (isChanged) {
      const { undone, record: { steps: left } } = journal;
      tellAccount(teller, { ms: performance.now() - began, totals: traffic.totals(), undone, left });
    }
  }
  if (chosen === undefined) throw new TypeError("The session ended without an exit code");
  return chosen;
}

/** What a session leaves for its end. */
interface Life {
  /** When it began, on the clock of `performance.now`. */
  readonly began: number;
  readonly traffic: Traffic;
  /** Takes the exit code. */
  readonly choose: (code: number) => void;
  /** There from the first change on. */
  journal?: Journal;
}

/** What the user sees while the session goes. */
const GIVING_BACK = "Giving back what the session has in the cluster";

/** As Telepresence 1 did, a clean-up that failed is told, and does not change the exit code. */
function tellLeft(error: unknown, { teller, log }: Around): void {
  for (const failure of failuresIn(error)) {
    teller.say(`Cleanup failed: ${messageOf(failure)}`);
    if (failure instanceof Error) log.info(failure.stack ?? failure.message);
    const hints = unfold(failure).flatMap((each) => each instanceof UserError ? each.hints : []);
    for (const hint of new Set(hints)) teller.say(`Hint: ${hint}`);
  }
  teller.say("WARNING: Failures during cleanup. See above.");
}

/** The errors in one that only carries others, in the order in which they happened. */
function failuresIn(error: unknown): unknown[] {
  if (!(error instanceof SuppressedError)) return [error];
  return [...failuresIn(error.suppressed), ...failuresIn(error.error)];
}

async function session(wanted: Wanted, around: Around, life: Life): Promise<void> {
  const { log, teller, signal } = around;
  const { say, note, chat, step } = teller;
  const { choose, traffic: { observer } } = life;

  // Intent.
  const cluster = await loadKubeconfig({ ...around, ...(wanted.context && { context: wanted.context }) });
  const runtimeAuthorities = around.chooseAuthorities?.(authoritiesOf(cluster)) ?? "some";
  const terminal = shareTerminal({ say, pause: () => teller.pause() });
  const { pluginRunner } = terminal;
  const { openKube = openKubeClient } = around;
  await using kube = openKube(cluster, { log: log.room("API"), pluginRunner, runtimeAuthorities });
  const namespace = wanted.namespace ?? cluster.namespace;
  const image = imageFor(around.env, around.agentImage);
  log.info(`Context ${cluster.contextName}, server ${cluster.server}, namespace ${namespace}, ${image}`);
  const program = wanted.run.kind === "shell" ? "bash" : wanted.run.words[0];
  const capturing = await chooseCapture(program, wanted.method, around);
  const { privateKey: key, publicKey } = await makeSessionKey();
  const asking = { ...around, kube, say, namespace, image, publicKey };
  if (wanted.show === undefined) await healBefore(wanted, around);
  if (wanted.takeOver && wanted.show === undefined) await takeOverFor(wanted, { ...asking, say });
  step(`Asking ${cluster.server} what may be done in namespace "${namespace}"`);
  const prepared = await prepare(wanted, asking);
  const recordFile = wanted.record === undefined || wanted.show ? undefined : await openRecordFile(wanted.record);
  step(undefined);
  const { plan } = prepared;
  if (wanted.show !== undefined) return choose(showPlan(prepared, wanted.show, around.print));
  const neverProxy = [
    ...new Set([...waysTo(cluster), ...await addressesOf(cluster.server)]),
    ...wanted.neverProxy ?? [],
  ];
  await using capturer = await capturing.prepare({ kube, namespace, wanted, neverProxy, say, log, signal });
  announce(prepared, capturing.announcement, teller);

  // Action.
  await using safety = await openSafety({ plan, cluster, around });
  const { journal } = safety;
  life.journal = journal;
  const { record } = journal;
  await using _record = recordFile && startRecord(life.traffic, recordFile, {
    head: {
      session: record.sessionId.slice(0, 10),
      doing: record.doing,
      context: cluster.contextName,
      namespace: record.namespace,
    },
    say,
  });
  const socket = trafficSocket(journalDirectory(around.env, around.home), record.sessionId);
  // Whatever is awaited from here on: when it fails, what is waited for is the way back.
  const orBack = async <T>(promise: Promise<T>) => {
    try {
      return await promise;
    } catch (error) {
      step(GIVING_BACK);
      throw error;
    }
  };
  const orLoss = <T>(promise: Promise<T>) => orBack(explained(promise, why));
  const cleanUp = makeCleanUp(around.cleanUpMs);
  const imageEnvironment = plan.original === undefined ? "" : await readImageEnvironment(plan.original, asking);
  const again: Again[] = [];
  await using workload = await orBack(acquireWorkload(plan, { ...asking, ...prepared, journal, cleanUp }));
  step(`Connecting to the agent in pod ${workload.pod}`);
  const { since, by } = record;
  const introduction = { session: record.sessionId.slice(0, 10), since, by };
  const lasting = { ...around, kube, say, again, observer, introduction, key: prepared.key ?? key };
  await using pod = await orBack(openLastingTunnel(plan, workload, lasting));
  const tellPod = async () => {
    // Where it cannot be written down, nothing depends on it.
    await journal.enter(workload.pod).catch((error) => log.info(`Others do not see the pod: ${messageOf(error)}`));
  };
  await tellPod();
  again.push(tellPod);
  await using _watchable = await serveTraffic(life.traffic, socket, { record, place: workload, log: log.room("NET") });
  const why = (error: unknown) => explainLoss(plan, workload.pod, kube, error);
  // Without the signal: a command that is told to end still has the pod's network while it does.
  await using capture = await orBack(capturer.start(pod, {
    neverProxy,
    podName: workload.pod,
    neededDirectories: [Deno.cwd(), around.home],
    publish: [...plan.expose.map(({ host }) => host), ...(wanted.publish ?? [])],
    log: log.room("CAP"),
  }));
  const others = async () => (await pod.sessions({ signal })).filter(({ session }) => session !== introduction.session);
  const exposing = { log, signal, say, others, connect: capture.connect };
  await using exposed = await orLoss(exposePorts(pod, listenersOf(plan), exposing));
  await using _toPod = forwardToPod(pod, plan.toPod, { log, signal });
  await using place = await orBack(workload.takePlace());
  again.push((signal) => place.enterAgain(signal));
  await using claim = plan.original && watchClaim(plan.original, { ...plan, kube, log });
  const facts = await orLoss(readContainer(kube, plan, workload, { pod, signal }));
  const opening = openVolumes(pod, facts.mounts, wanted.volumes, {
    title: plan.name, // the mount outlives its first pod
    say,
    note,
    log: log.room("VOL"),
    signal,
  });
  await using volumes = await orLoss(opening);
  for (const { path, reason } of await capture.show({ files: volumes.paths, addresses: facts.addresses })) {
    log.info(`"${path}" of the pod is below TELEPRESENCE_ROOT alone: ${reason}`);
  }
  const preparing = prepareEnvironment(pod, wanted, { ...around, facts, volumes, workload, imageEnvironment, say });
  const environment = await orLoss(preparing);
  step(undefined);
  chat(plan.isShell ? "Setup complete. Launching your shell." : "Setup complete. Launching your command.");
  await using launcher = await placeLauncherFor(around);
  await terminal.handOver(signal);
  const prompt = plan.isShell ? promptOf(cluster.contextName) : {};
  await using child = launch(capture.command(plan.command), {
    ...(launcher && { launcher: launcher.path }),
    env: capture.environment({ ...environment, ...prompt }),
    log,
  });
  await safety.guardian?.tellChild(child.pid);
  const lost = [pod.closed, exposed.closed, capture.closed, ...(claim ? [claim.closed] : [])];
  const code = await orBack(untilEnd(child, lost, { ...around, why }));
  choose(code);
  step(GIVING_BACK);
}

/** Ends the session that has the workload, if one has. */
async function takeOverFor(
  { operation }: Wanted,
  options: Around & { readonly kube: KubeClient; readonly namespace: string; readonly say: (line: string) => void },
): Promise<void> {
  if (operation.kind !== "swap") return;
  await takeOver(operation.workload, {
    ...options,
    by: nameOfUser(options.env),
    async recover(sessionId) {
      if (await recoverInCluster(sessionId, options)) return;
      throw new UserError("Cannot take the workload over: what the other session has could not be given back");
    },
  });
}

/** What the agent listens on: exposed ports for everybody, the others for the pod's own containers. */
function listenersOf({ expose, fromPod }: Plan): ExposedPort[] {
  return [...expose, ...fromPod.map((port) => ({ host: port, pod: port, loopback: true }))];
}

/** Waits for the child; ends it when a signal comes or when what it depends on is lost. */
async function untilEnd(
  child: Child,
  lost: Promise<unknown>[],
  { signal, log, why }: Around & { why: (error: unknown) => Promise<UserError> },
): Promise<number> {
  // A dependency that ends in order says nothing: only a rejection is a loss.
  const losses = lost.map((closed) => closed.then(() => new Promise<never>(() => {})));
  try {
    const { code } = await abortable(Promise.race([child.exit, ...losses]), signal);
    return code;
  } catch (error) {
    const interrupted = signal.aborted;
    log.info(interrupted ? "Ending the command" : `Lost what the command depends on: ${messageOf(error)}`);
    if (interrupted) {
      const { code, signal: by } = await child.end(signalFor(signal.reason, child));
      if (by === null) return code; // the command chose its code itself
      throw signal.reason;
    }
    const [loss] = await Promise.all([why(error), child.end("SIGTERM")]);
    throw loss;
  }
}

/** What `promise` gives; that the tunnel was lost meanwhile is told as that. */
async function explained<T>(promise: Promise<T>, why: (error: unknown) => Promise<UserError>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    throw error instanceof LinkLost || isNotFound(error) ? await why(error) : error;
  }
}

async function placeLauncherFor({ launcher, log, env }: Around): Promise<Launcher | undefined> {
  const directories = [env["XDG_RUNTIME_DIR"], env["TMPDIR"], "/tmp"].filter((directory) => directory !== undefined);
  return launcher && await placeLauncher(launcher, { directories, log });
}

/**
 * Which signal the command is to get: what we got. But Ctrl-C on a terminal goes to the whole foreground group, and a
 * command that shares ours has got it already: a second one would be a second wish.
 */
function signalFor(reason: unknown, { hasOwnGroup }: Child): Deno.Signal | undefined {
  const name = reason instanceof Error && "signal" in reason ? reason.signal : undefined;
  if (name === "SIGINT") return !hasOwnGroup && Deno.stdin.isTerminal() ? undefined : "SIGINT";
  return name === "SIGHUP" ? "SIGHUP" : "SIGTERM";
}

/** The API server's addresses: what is never proxied, so that kubectl works beside us and inside. */
async function addressesOf(server: URL | string): Promise<string[]> {
  const hostname = new URL(server).hostname.replace(/^\[|\]$/g, "");
  if (/^[\d.]+$|:/.test(hostname)) return [hostname];
  const found = await Promise.allSettled([Deno.resolveDns(hostname, "A"), Deno.resolveDns(hostname, "AAAA")]);
  return [hostname, ...found.flatMap((one) => one.status === "fulfilled" ? one.value : [])];
}

/** The shell's prompt begins with the context, as in Telepresence 1: one sees where one is. */
function promptOf(context: string): Record<string, string> {
  const quoted = context.replace(/[\\"$`]/g, "\\$&");
  return { PROMPT_COMMAND: `PS1="@${quoted}|$PS1";unset PROMPT_COMMAND` };
}
