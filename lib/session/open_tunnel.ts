import { isForbidden, type KubeClient, KubeError, pods } from "@/kube/mod.ts";
import type { Log } from "@/log/mod.ts";
import { type LinkedPod, openPod } from "@/pod/mod.ts";
import {
  type CarrierName,
  greetAgent,
  HandshakeError,
  keepCarriers,
  nameNewLink,
  openLink,
  type SessionKey,
} from "@/transport/mod.ts";
import { type Duplex, messageOf, sleep, UserError } from "@/util/mod.ts";
import type { Plan } from "./plan.ts";
import { awaitLoss, findAgentRun, findLoss } from "./pod_loss.ts";
import { judgeProxy } from "./proxy_state.ts";
import { failure } from "./wait_for_proxy.ts";

/** How long an agent whose container runs may take to listen. */
const CONNECT_MS = 30_000;
/** Between two attempts: the agent listens some 50 ms after its container runs. */
const PAUSE_MS = 50;

/** What opening a tunnel needs. */
export interface TunnelOptions {
  readonly kube: KubeClient;
  readonly key: SessionKey;
  readonly version: string;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/**
 * Opens the tunnel to the agent of a pod whose container runs: port-forwards, handshakes, link, mux. From then on lost
 * port-forwards are opened again, for as long as the plan's grace; when the pod is known to be gone, `closed` rejects
 * with what happened to it.
 *
 * @throws {UserError} when the agent does not answer, with what became of it
 * @throws {KubeError} when the API server refuses the port-forward
 */
export async function openTunnel(plan: Plan, pod: string, options: TunnelOptions): Promise<LinkedPod> {
  const { kube, key: { privateKey: key }, version, signal } = options;
  const log = options.log.room("NET");
  const dial = (waiting: { signal: AbortSignal }) =>
    kube.portForward({ namespace: plan.namespace, name: pod }, plan.agentPort, waiting);
  const name = nameNewLink();
  const duplex = await openFirst(plan, pod, name, dial, options);
  const run = await findAgentRun(kube, { namespace: plan.namespace, pod, signal }).catch((error) => {
    duplex.close();
    throw error;
  });
  const link = openLink({ log, graceMs: plan.graceMs });
  keepCarriers(link, { name, duplex }, { dial, key, version, log, gone: () => findLoss(kube, run) });
  const explain = async (error: unknown) => error instanceof UserError ? error : await awaitLoss(kube, run) ?? error;
  return openPod(link, { log, explain });
}

/** The first carrier, its handshake done: tried until the agent listens. */
async function openFirst(
  plan: Plan,
  pod: string,
  name: CarrierName,
  dial: (options: { signal: AbortSignal }) => Promise<Duplex>,
  options: TunnelOptions,
): Promise<Duplex> {
  const { log, signal } = options;
  const start = performance.now();
  for (let attempt = 1;; attempt++) {
    try {
      const carrier = await dial({ signal });
      const version = await greetAgent(carrier, options.key.privateKey, { ...options, name });
      log.info(`Connected to the agent (version ${version}) at attempt ${attempt}`);
      return carrier;
    } catch (error) {
      signal.throwIfAborted();
      if (isForbidden(error)) throw forbiddenPortForward(plan, error);
      if (error instanceof KubeError && error.status !== 500 || isRefusal(error)) throw error;
      log.debug(`The agent does not answer yet: ${messageOf(error)}`);
      await requireRunning(plan, pod, options);
      if (performance.now() - start > CONNECT_MS) throw noAnswer(plan, error);
      await sleep(PAUSE_MS, signal);
    }
  }
}

/** The agent answered and does not want us: another attempt would be answered alike. */
function isRefusal(error: unknown): boolean {
  return error instanceof HandshakeError && /version|refused/.test(error.message);
}

async function requireRunning(plan: Plan, pod: string, { kube, signal }: TunnelOptions): Promise<void> {
  const state = judgeProxy(undefined, await kube.get(pods, { namespace: plan.namespace, name: pod }, { signal }));
  if (state.kind === "failed") throw await failure(plan, state, { kube, signal });
}

function forbiddenPortForward({ namespace }: Plan, cause: unknown): UserError {
  return new UserError(`Cannot open a port-forward to the proxy: ${messageOf(cause)}`, {
    hints: [
      `A Role in namespace "${namespace}" must allow both verbs: apiGroups [""], resources ["pods/portforward"], verbs ["get", "create"]`,
    ],
    cause,
  });
}

function noAnswer({ namespace }: Plan, cause: unknown): UserError {
  return new UserError(
    `Cannot reach the agent in its pod: it did not answer within ${CONNECT_MS / 1000} s: ${messageOf(cause)}`,
    {
      hints: [
        "Something between here and the API server may not let WebSockets through (a proxy, a gateway)",
        `kubectl port-forward --namespace ${namespace} POD 8080 to any pod shows whether port-forwards work at all`,
      ],
      cause,
    },
  );
}
