/**
 * One run, from what is wanted to the exit code. Its acts: *intent* asks and refuses and changes nothing; *action*
 * acquires one thing after another, each of which is given back in reverse, whatever happens.
 *
 * @module
 */
import { authoritiesOf, isNotFound, type KubeClient, loadKubeconfig, openKubeClient } from "@/kube/mod.ts";
import { type Launcher, placeLauncher } from "@/process/mod.ts";
import { LinkLost, makeSessionKey } from "@/transport/mod.ts";
import { messageOf, UserError } from "@/util/mod.ts";
import { makeMountPath, openVolumes } from "@/volumes/mod.ts";
import { tellAccount } from "./account.ts";
import type { Around } from "./around.ts";
import { exposePorts } from "./command/expose.ts";
import { listenToPod } from "./command/forward.ts";
import { launch, prepareEnvironment, readContainer } from "./command/launch.ts";
import { promptOf } from "./command/prompt.ts";
import { shareTerminal } from "./command/share_terminal.ts";
import { untilEnd } from "./command/until_end.ts";
import { chooseCapture } from "./method/choose_capture.ts";
import { waysTo } from "./method/vpn_capture.ts";
import { announce } from "./plan/announce.ts";
import type { ExposedPort, Plan, Wanted } from "./plan/plan.ts";
import { prepare } from "./plan/prepare.ts";
import { showPlan } from "./plan/show_plan.ts";
import { imageFor } from "./proxy/image.ts";
import { type Journal, journalDirectory } from "./safety/journal.ts";
import { healBefore, recoverInCluster } from "./safety/recover.ts";
import { nameOfUser, openSafety } from "./safety/safety.ts";
import { makeCleanUp } from "./safety/undo.ts";
import { tellLeft } from "./tell_left.ts";
import { openRecordFile, startRecord } from "./traffic/record.ts";
import { serveTraffic, trafficSocket } from "./traffic/serve_traffic.ts";
import { type Traffic, watchTraffic } from "./traffic/traffic.ts";
import { type Again, openLastingTunnel } from "./tunnel/lasting_tunnel.ts";
import { explainLoss } from "./tunnel/loss.ts";
import { acquireWorkload } from "./workload/acquire.ts";
import { readImageEnvironment } from "./workload/image_environment.ts";
import { takeOver, watchClaim } from "./workload/take_over.ts";
import { unverified } from "./unverified.ts";

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

async function session(wanted: Wanted, around: Around, life: Life): Promise<void> {
  const { log, teller, signal } = around;
  const { say, note, chat, step } = teller;
  const { choose, traffic: { observer } } = life;

  // Intent.
  const cluster = await loadKubeconfig({ ...around, ...(wanted.context && { context: wanted.context }) });
  const runtimeAuthorities = around.chooseAuthorities?.(authoritiesOf(cluster)) ?? "some";
  const risk = unverified(cluster);
  if (risk !== undefined) say(`WARNING: ${risk}`);
  const terminal = shareTerminal({ say, pause: () => teller.pause() });
  const { pluginRunner } = terminal;
  const { openKube = openKubeClient } = around;
  await using kube = openKube(cluster, { log: log.room("API"), pluginRunner, runtimeAuthorities });
  const namespace = wanted.namespace ?? cluster.namespace;
  const image = imageFor(around.env, around.agentImage);
  log.info(`Context ${cluster.contextName}, server ${cluster.server}, namespace ${namespace}, ${image}`);
  const program = wanted.run.kind === "shell" ? "bash" : wanted.run.words[0];
  const capturing = await chooseCapture(program, wanted.method, around, { forPlan: wanted.show !== undefined });
  const { privateKey: key, publicKey } = await makeSessionKey();
  const asking = { ...around, kube, say, namespace, image, publicKey };
  if (wanted.show === undefined) await healBefore(wanted, around);
  if (wanted.takeOver && wanted.show === undefined) await takeOverFor(wanted, { ...asking, say });
  step(`Asking ${cluster.server} what may be done in namespace "${namespace}"`);
  const prepared = await prepare(wanted, asking);
  step(undefined);
  const { plan } = prepared;
  if (wanted.show !== undefined) return choose(showPlan(prepared, wanted.show, around.print));
  using toPod = listenToPod(plan.toPod);
  await makeMountPath(wanted.volumes);
  const recordFile = wanted.record === undefined ? undefined : await openRecordFile(wanted.record);
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
  toPod.forward(pod, { log, signal });
  await using place = await orBack(workload.takePlace());
  again.push((signal) => place.enterAgain(signal));
  await using claim = plan.original && watchClaim(plan.original, { ...plan, kube, log });
  const facts = await orLoss(readContainer(kube, plan, workload, { pod, signal }));
  await using launcher = await placeLauncherFor(around);
  const opening = openVolumes(pod, facts.mounts, wanted.volumes, {
    title: plan.name, // the mount outlives its first pod
    say,
    note,
    launcher: launcher?.path,
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

/** The API server's addresses: what is never proxied, so that kubectl works beside us and inside. */
async function addressesOf(server: URL | string): Promise<string[]> {
  const hostname = new URL(server).hostname.replace(/^\[|\]$/g, "");
  if (/^[\d.]+$|:/.test(hostname)) return [hostname];
  const found = await Promise.allSettled([Deno.resolveDns(hostname, "A"), Deno.resolveDns(hostname, "AAAA")]);
  return [hostname, ...found.flatMap((one) => one.status === "fulfilled" ? one.value : [])];
}
