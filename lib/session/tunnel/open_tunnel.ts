import { isNotFound, type KubeClient, KubeError, pods } from "@/kube/mod.ts";
import type { Log } from "@/log/mod.ts";
import { type Introduction, type LinkedPod, type Observer, openPod } from "@/pod/mod.ts";
import {
  type CarrierName,
  type DialOptions,
  greetAgent,
  HandshakeError,
  keepCarriers,
  nameNewLink,
  openLink,
} from "@/transport/mod.ts";
import { deadline, type Duplex, keepYoungSmall, messageOf, sleep, UserError } from "@/util/mod.ts";
import { podDeleted } from "./loss.ts";
import { joinCommand } from "../proxy/manifest.ts";
import type { Plan } from "../plan/plan.ts";
import { type AgentRun, findAgentRun, findLoss } from "./pod_loss.ts";
import { judgeProxy } from "../proxy/proxy_state.ts";
import { asSuccessor } from "./successor.ts";
import { failure, lastLines } from "../proxy/wait_for_proxy.ts";

/** How long an agent whose container runs may take to listen. */
const CONNECT_MS = 30_000;
/** Between two attempts: the agent listens some 50 ms after its container runs. */
const PAUSE_MS = 50;

/** What opening a tunnel needs. */
export interface TunnelOptions {
  readonly kube: KubeClient;
  /** What the agent lets in who holds it. */
  readonly key: CryptoKey;
  readonly version: string;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Hears of every connection. */
  readonly observer?: Observer;
  /** Who we are, for others that use the same agent. */
  readonly introduction?: Introduction;
  /** @default {30 s} */
  readonly connectMs?: number;
  /** A run of the agent that is over: its end is not that of the one that comes after it. */
  readonly past?: AgentRun;
  /** Told which run of the agent it is to be, before that has answered. */
  readonly onRun?: (run: AgentRun) => void;
}

/** A tunnel, and where it leads. */
export interface Tunnel {
  readonly pod: LinkedPod;
  readonly run: AgentRun;
}

/**
 * Opens the tunnel to the agent of a pod whose container runs: port-forwards, handshakes, link, mux. From then on lost
 * port-forwards are opened again, for as long as the plan's grace; when the pod is known to be gone, `closed` rejects
 * with what happened to it.
 *
 * @throws {UserError} when the agent does not answer or does not want us, with what became of it
 * @throws {KubeError} when the API server refuses the port-forward
 */
export async function openTunnel(plan: Plan, pod: string, options: TunnelOptions): Promise<Tunnel> {
  const { kube, key, version, signal, onRun } = options;
  const log = options.log.room("NET");
  const exec = { container: plan.container, command: joinCommand(plan) };
  const dial = ({ carrier, attempt, signal }: DialOptions) =>
    kube.portForward({ namespace: plan.namespace, name: pod }, plan.agentPort, {
      signal,
      exec,
      bulk: carrier > 0 && attempt % 2 === 0, // every other attempt goes as the first carrier did
    });
  const name = nameNewLink();
  const { namespace, container } = plan;
  const find = () => findAgentRun(kube, { namespace, pod, container, signal });
  if (onRun !== undefined) await find().then(onRun, () => {}); // that it cannot be found is told by what follows
  const [duplex] = await Promise.all([openFirst(plan, pod, name, dial, options), keepYoungSmall()]);
  const run = await find().catch((error) => {
    duplex.close();
    throw isNotFound(error) ? podDeleted(plan, pod) : error;
  });
  const link = openLink({ log, graceMs: plan.graceMs });
  void keepCarriers(link, { name, duplex }, { dial, key, version, log, gone: () => findLoss(kube, run) });
  const { observer, introduction } = options;
  return { pod: openPod(link, { log, ...(observer && { observer }), ...(introduction && { introduction }) }), run };
}

/** The first carrier, its handshake done: tried until the agent listens. */
async function openFirst(
  plan: Plan,
  pod: string,
  name: CarrierName,
  dial: (options: DialOptions) => Promise<Duplex>,
  options: TunnelOptions,
): Promise<Duplex> {
  const { log, connectMs = CONNECT_MS } = options;
  let last: unknown;
  let opened = false;
  using late = deadline(connectMs, () => new UserError("The agent does not answer"));
  const signal = AbortSignal.any([options.signal, late.signal]);
  try {
    for (let attempt = 1;; attempt++) {
      try {
        const carrier = await dial({ signal, carrier: 0, attempt: attempt - 1 });
        opened = true;
        const version = await greetAgent(carrier, options.key, { ...options, name, signal });
        log.info(`Connected to the agent (version ${version}) at attempt ${attempt}`);
        return carrier;
      } catch (error) {
        signal.throwIfAborted();
        if (isFinal(error)) throw error;
        last = error;
        log.debug(`The agent does not answer yet: ${messageOf(error)}`);
        await requireRunning(plan, pod, { ...options, signal });
        await sleep(PAUSE_MS, signal);
      }
    }
  } catch (error) {
    options.signal.throwIfAborted();
    if (isNotFound(error)) throw podDeleted(plan, pod);
    if (late.signal.aborted) throw await noAnswer(plan, pod, { ms: connectMs, last, opened }, options);
    throw error instanceof HandshakeError ? stranger(plan, error) : error;
  }
}

/** Whether another attempt would be answered alike. A 500 is the node's: it may not know the container yet. */
function isFinal(error: unknown): boolean {
  if (error instanceof KubeError) return error.status !== 500;
  return error instanceof HandshakeError && /version|refused|else answers/.test(error.message);
}

async function requireRunning(plan: Plan, name: string, { kube, signal, past }: TunnelOptions): Promise<void> {
  const pod = await kube.get(pods, { namespace: plan.namespace, name }, { signal });
  const state = judgeProxy(undefined, past === undefined ? pod : asSuccessor(pod, past), plan.container);
  if (state.kind === "failed") throw await failure(plan, state, { kube, signal });
}

/** Who answers is not our agent, or does not want us. */
function stranger(plan: Plan, error: HandshakeError): UserError {
  return new UserError(`Cannot use the proxy's agent: ${error.message}`, {
    hints: /version/.test(error.message) ? [] : [
      plan.isThere
        ? `To install it anew: telepresence agent-manifest ${plan.name} --namespace ${plan.namespace} | kubectl apply -f -`
        : "Run the command again: each session has a port of its own",
    ],
    cause: error,
  });
}

async function noAnswer(
  plan: Plan,
  pod: string,
  { ms, last, opened }: { ms: number; last: unknown; opened: boolean },
  { kube, signal }: TunnelOptions,
): Promise<UserError> {
  const why = last === undefined ? "" : `: ${messageOf(last)}`;
  const lines = await lastLines(plan, pod, kube, signal);
  const sentence = `Cannot reach the agent in its pod: it did not answer within ${ms / 1000} s${why}`;
  return new UserError([sentence, ...lines].join("\n"), {
    hints: opened ? [] : [
      "Something between here and the API server may not let WebSockets through (a proxy, a gateway)",
      `kubectl port-forward --namespace ${plan.namespace} POD 8080 to any pod shows whether port-forwards work at all`,
    ],
    cause: last,
  });
}
