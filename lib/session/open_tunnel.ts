import { isForbidden, type KubeClient, KubeError, pods } from "@/kube/mod.ts";
import type { Log } from "@/log/mod.ts";
import { type LinkedPod, openPod } from "@/pod/mod.ts";
import { greetAgent, HandshakeError, type SessionKey } from "@/transport/mod.ts";
import { messageOf, sleep, UserError } from "@/util/mod.ts";
import type { Plan } from "./plan.ts";
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
 * Opens the tunnel to the agent of a pod whose container runs: port-forward, handshake, mux.
 *
 * @throws {UserError} when the agent does not answer, with what became of it
 * @throws {KubeError} when the API server refuses the port-forward
 */
export async function openTunnel(plan: Plan, pod: string, options: TunnelOptions): Promise<LinkedPod> {
  const { kube, log, signal } = options;
  const start = performance.now();
  for (let attempt = 1;; attempt++) {
    try {
      const carrier = await kube.portForward({ namespace: plan.namespace, name: pod }, plan.agentPort, { signal });
      const version = await greetAgent(carrier, options.key.privateKey, options);
      log.info(`Connected to the agent (version ${version}) at attempt ${attempt}`);
      return openPod(carrier, { log: log.room("NET") });
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
  const state = judgeProxy(
    undefined,
    await kube.get(pods, { namespace: plan.namespace, name: pod }, { signal }),
    plan.container,
  );
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
