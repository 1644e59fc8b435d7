/**
 * One run, from what is wanted to the exit code. Its acts: *intent* asks and refuses and changes nothing; *action*
 * acquires one thing after another, each of which is given back in reverse, whatever happens.
 *
 * @module
 */
import { requireCarriable, startInject } from "@/capture/mod.ts";
import {
  configMaps,
  deployments,
  isForbidden,
  isNotFound,
  type KubeClient,
  loadKubeconfig,
  openKubeClient,
  services,
} from "@/kube/mod.ts";
import type { Log } from "@/log/mod.ts";
import type { Child } from "@/process/mod.ts";
import { LinkLost, makeSessionKey } from "@/transport/mod.ts";
import { abortable, deadline, messageOf, unfold, UserError } from "@/util/mod.ts";
import { openVolumes } from "@/volumes/mod.ts";
import { exposePorts } from "./expose.ts";
import { launch, prepareEnvironment, readContainer } from "./launch.ts";
import { explainLoss } from "./loss.ts";
import { agentConfigMap, exposedService, proxyDeployment } from "./manifest.ts";
import { acquireObject, allPass, makeCleanUp, requireCreatable } from "./objects.ts";
import { openTunnel } from "./open_tunnel.ts";
import { makePlan, type Plan, type Wanted } from "./plan.ts";
import { shareTerminal } from "./share_terminal.ts";
import { waitForProxy } from "./wait_for_proxy.ts";

/** What a session is given by the program around it. */
export interface Around {
  readonly log: Log;
  /** Tells the user: `say` what must be known, `chat` what is good to know. */
  readonly teller: { say(line: string): void; chat(line: string): void };
  /** Ends the session early; its reason is what {@linkcode runSession} throws. Clean-up does not listen to it. */
  readonly signal: AbortSignal;
  readonly env: Readonly<Record<string, string>>;
  readonly home: string;
  /**
   * Told whose authorities the API server's certificate may be of, before anything is asked of it.
   *
   * @default {the runtime's own are trusted beside those of the kubeconfig}
   */
  chooseAuthorities?(wanted: "kubeconfig" | "system"): void;
  /** Takes a getter of what would be left in the cluster if the process ended now. */
  onLeftovers(names: () => readonly string[]): void;
  readonly version: string;
  /** The agent's program, one JavaScript file. */
  readonly agentSource: string;
  /** The agent's image where the user does not name another registry. */
  readonly agentImage: string;
  /** The preload library for this machine, undefined where there is none. */
  readonly shim: Uint8Array<ArrayBuffer> | undefined;
  /** How long the proxy may take to run. @default {120 s} */
  readonly readyMs?: number;
  /** How long its agent may then take to answer. @default {30 s} */
  readonly connectMs?: number;
  /** How long the API server may take to answer a create. @default {30 s} */
  readonly createMs?: number;
  /** How long the clean-up may take. @default {10 s} */
  readonly cleanUpMs?: number;
}

/**
 * Runs the user's command as if it were in a pod, and leaves the cluster as it was.
 *
 * @returns the command's exit code, also when a signal ended the session and the command chose a code itself
 * @throws {UserError} when it cannot be; the signal's reason when that ended it
 */
export async function runSession(wanted: Wanted, around: Around): Promise<number> {
  let chosen: number | undefined;
  try {
    await session(wanted, around, (code) => chosen = code);
  } catch (error) {
    if (chosen === undefined) throw error;
    tellLeft(error, around); // the command has ended: what its caller waits for is its own code
  }
  if (chosen === undefined) throw new TypeError("The session ended without an exit code");
  return chosen;
}

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

async function session(wanted: Wanted, around: Around, choose: (code: number) => void): Promise<void> {
  const { log, teller: { say, chat }, signal, env } = around;

  // Intent.
  const cluster = await loadKubeconfig({ ...around, ...(wanted.context && { context: wanted.context }) });
  around.chooseAuthorities?.(cluster.tls.caCerts === undefined ? "system" : "kubeconfig");
  const terminal = shareTerminal({ say });
  await using kube = openKubeClient(cluster, { log: log.room("API"), pluginRunner: terminal.pluginRunner });
  const plan = makePlan(wanted, { contextNamespace: cluster.namespace, image: imageFor(around) });
  log.info(`Context ${cluster.contextName}, server ${cluster.server}, namespace ${plan.namespace}, ${plan.image}`);
  const shim = requireShim(around);
  await requireCarriable(plan.command[0], { path: env["PATH"] ?? "" });
  const key = await makeSessionKey();
  const manifests = {
    configMap: agentConfigMap(plan, around.agentSource),
    deployment: proxyDeployment(plan, key.publicKey),
    service: exposedService(plan),
  };
  const checking = { ...around, kube };
  await allPass([
    requireCreatable(deployments, manifests.deployment, checking),
    requireCreatable(configMaps, manifests.configMap, checking),
    ...(plan.expose.length > 0 ? [requireCreatable(services, manifests.service, checking)] : []),
  ]);
  announce(plan, say, chat);

  // Action.
  const leftovers = new Set<string>();
  around.onLeftovers(() => [...leftovers].map((name) => `kubectl delete ${name} --namespace ${plan.namespace}`));
  const cleanUp = makeCleanUp(around.cleanUpMs);
  const making = { ...around, kube, say, sessionId: plan.sessionId, leftovers, cleanUp };
  await using configMap = await acquireObject(configMaps, manifests.configMap, making);
  await using deployment = await acquireObject(deployments, manifests.deployment, making);
  const [podName] = await Promise.all([
    waitForProxy(plan, { ...around, kube, say }),
    giveTo(deployment, configMap, plan, { kube, log, signal }),
  ]);
  await using pod = await openTunnel(plan, podName, { ...around, kube, key });
  const why = (error: unknown) => explainLoss(plan, podName, kube, error);
  await using exposed = await orLoss(exposePorts(pod, plan.expose, { log, signal, say }), why);
  // The Service comes when the ports are bound and goes before they do: nobody in the cluster is sent to a closed port.
  await using _service = plan.expose.length > 0 ? await acquireObject(services, manifests.service, making) : null;
  // Without the signal: a command that is told to end still has the pod's network while it does.
  await using capture = await startInject(pod, {
    shim,
    neverProxy: await addressesOf(cluster.server),
    log: log.room("CAP"),
  });
  const facts = await orLoss(readContainer(kube, plan, podName, signal), why);
  const opening = openVolumes(pod, facts.mounts, wanted.volumes, { title: podName, say, log: log.room("VOL"), signal });
  await using volumes = await orLoss(opening, why);
  const preparing = prepareEnvironment(pod, wanted, { ...around, facts, volumes, podName, say });
  const environment = await orLoss(preparing, why);
  chat(plan.isShell ? "Setup complete. Launching your shell." : "Setup complete. Launching your command.");
  await terminal.handOver(signal);
  const prompt = plan.isShell ? promptOf(cluster.contextName) : {};
  await using child = launch(plan.command, { env: capture.environment({ ...environment, ...prompt }), log });
  choose(await untilEnd(child, [pod.closed, exposed.closed, capture.closed], { ...around, why }));
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
      const { code, signal: by } = await child.end(signalFor(signal.reason));
      if (by === null) return code; // the command chose its code itself
      throw signal.reason;
    }
    const [loss] = await Promise.all([why(error), child.end("SIGTERM")]);
    throw loss;
  }
}

/** What `promise` gives; that the tunnel was lost meanwhile is told as that. */
async function orLoss<T>(promise: Promise<T>, why: (error: unknown) => Promise<UserError>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    throw error instanceof LinkLost || isNotFound(error) ? await why(error) : error;
  }
}

/**
 * Which signal the command is to get. Ctrl-C on a terminal goes to the whole foreground group, so to the command too:
 * a second one would be a second wish. Without a terminal we pass on what we got.
 */
function signalFor(reason: unknown): Deno.Signal | undefined {
  const name = reason instanceof Error && "signal" in reason ? reason.signal : undefined;
  if (name === "SIGINT") return Deno.stdin.isTerminal() ? undefined : "SIGINT";
  return name === "SIGHUP" ? "SIGHUP" : "SIGTERM";
}

function announce(plan: Plan, say: (line: string) => void, chat: (line: string) => void): void {
  chat(
    "Starting proxy with method 'inject-tcp', which has the following limitations: Go programs, static binaries, suid " +
      "programs, and custom DNS implementations are not supported.",
  );
  say(`Starting network proxy to cluster using new Deployment ${plan.name}`);
  if (plan.expose.length === 0) {
    chat(
      "No traffic is being forwarded from the remote Deployment to your local machine. You can use the --expose " +
        "option to specify which ports you want to forward.",
    );
  }
  for (const { host, pod } of plan.expose) say(`Forwarding remote port ${pod} to local port ${host}.`);
}

/** How long the net below the clean-up may take: nothing else waits for it. */
const GIVE_MS = 5_000;

/**
 * Makes the Deployment the owner of the ConfigMap: a net for the case that our own deletion never comes. A connection
 * that breaks here is no reason to end a session; a right that is lacking is told, like every other.
 */
async function giveTo(
  { metadata: owner }: { metadata: { name: string; uid: string } },
  { metadata: { name } }: { metadata: { name: string } },
  { namespace }: Plan,
  { kube, log, signal }: { kube: KubeClient; log: Log; signal: AbortSignal },
): Promise<void> {
  const ownerReferences = [{ apiVersion: "apps/v1", kind: "Deployment", name: owner.name, uid: owner.uid }];
  const body = { metadata: { ownerReferences } };
  using late = deadline(GIVE_MS, () => new Error(`no answer within ${GIVE_MS / 1000} s`));
  try {
    const either = AbortSignal.any([signal, late.signal]);
    await kube.patch(configMaps, { namespace, name }, { type: "merge", body }, { signal: either });
  } catch (error) {
    signal.throwIfAborted();
    if (isForbidden(error)) throw error;
    log.info(`The ConfigMap has no owner: ${messageOf(error)}`);
  }
}

function requireShim({ shim }: Around): Uint8Array<ArrayBuffer> {
  if (shim !== undefined) return shim;
  throw new UserError(`Cannot inject into programs here: there is no shim for ${Deno.build.os} on ${Deno.build.arch}`, {
    hints: ["--method inject-tcp works on Linux with x86-64 and glibc; other machines come later (see README)"],
  });
}

function imageFor({ env, agentImage }: Around): string {
  const registry = env["TELEPRESENCE_REGISTRY"];
  return registry ? agentImage.replace(/^[^/]+(?=\/)/, registry.replace(/\/+$/, "")) : agentImage;
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
