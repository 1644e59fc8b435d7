/**
 * A node: runs the pods that the store has, each with the real agent inside, and tells their state.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { listenForHosts } from "@/agent/mod.ts";
import { makeLog } from "@/log/mod.ts";
import { closeQuietly, sleep } from "@/util/mod.ts";
import { at, isRecord, type Json, type JsonObject, textAt } from "./json.ts";
import { makePodNetwork, type PodNetwork, type Routes } from "./pod_network.ts";
import { badRequest } from "./refusal.ts";
import { served } from "./resources.ts";
import type { Change, Place, Store, StoredObject } from "./store.ts";
import type { AgentAnswer, Trouble } from "./troubles.ts";

/** What a node is made with. */
export interface KubeletOptions {
  readonly store: Store;
  /** What happens to a pod that starts now. */
  readonly trouble: () => Trouble | undefined;
  readonly agentVersion: string;
  readonly routes: Routes;
  /** Runs a task of the cluster, so that the cluster can wait for it. */
  readonly react: (task: () => void | Promise<void>) => void;
}

/** A node. Disposing it ends every container. */
export interface Kubelet extends AsyncDisposable {
  networkOf(pod: StoredObject): PodNetwork;
  /** @throws {Refusal} where there is no log */
  logOf(pod: StoredObject, query: URLSearchParams): string;
  /** Ends the container of a pod, as a crash does; it is started again, as such are the first time: at once. */
  crash(pod: StoredObject, exitCode: number, log: readonly string[]): Promise<void>;
  /** Lets the agent of a pod forget its links, as it does when nobody came back within their time of grace. */
  forgetLinks(pod: StoredObject): Promise<void>;
  /** Takes a pod from the node for want of memory. */
  evict(pod: StoredObject): Promise<void>;
  /** Lets go the pods that are held up by their trouble. */
  relieve(): void;
}

interface Run {
  readonly network: PodNetwork;
  log: string[];
  /** The log of the container that ended before this one. */
  previousLog?: readonly string[];
  /** How often its container was started again. */
  restarts: number;
  agent?: AsyncDisposable;
}

const NODE = "node-1";
/** Until a container that ended is started again: long enough to be seen ended, as on a real node. */
const RESTART_MS = 300;

/** Starts a node. */
export function startKubelet(options: KubeletOptions): Kubelet {
  const { store, trouble, react, routes } = options;
  const runs = new Map<string, Run>();
  const relieved = Promise.withResolvers<void>();
  let events = 0;
  let ended = false;

  store.onChange((change) => {
    if (change.resource.kind !== "Pod") return;
    if (change.before === undefined) react(() => run(change.after));
    if (change.deleted) react(() => end(change.after));
    else if (isAskedToEnd(change)) react(() => remove(change.after));
  });

  return {
    networkOf: (pod) => runOf(pod).network,
    logOf: (pod, query) => readLog(pod, runOf(pod), query),
    async crash(pod, exitCode, log) {
      await end(pod);
      const ending = runOf(pod);
      ending.log.push(...log);
      const terminated = { exitCode, reason: "Error" };
      setStatus(pod, "Running", { terminated });
      react(async () => {
        await sleep(RESTART_MS);
        if (ended || !isThere(pod)) return;
        ending.previousLog = ending.log;
        ending.log = [];
        ending.restarts++;
        startContainer(pod, undefined, { terminated });
      });
    },
    async forgetLinks(pod) {
      await end(pod);
      runAgent(pod, undefined);
    },
    async evict(pod) {
      await end(pod);
      store.update(placeOf(pod), (before) => ({
        ...before,
        status: {
          ...(isRecord(before["status"]) ? before["status"] : {}),
          phase: "Failed",
          reason: "Evicted",
          message: "The node was low on resource: memory. Threshold quantity: 100Mi, available: 61440Ki. ",
        },
      }));
    },
    relieve: () => relieved.resolve(),
    async [Symbol.asyncDispose]() {
      ended = true;
      await Promise.all([...runs.values()].map((each) => each.agent?.[Symbol.asyncDispose]()));
    },
  };

  async function run(pod: StoredObject): Promise<void> {
    const wrong = trouble();
    const { uid } = pod.metadata;
    runs.set(uid, { network: makePodNetwork(uid.replaceAll("-", "").repeat(2), routes), log: [], restarts: 0 });
    if (wrong?.kind === "unschedulable") {
      setConditions(pod, [{ type: "PodScheduled", status: "False", reason: "Unschedulable", message: wrong.message }]);
      return void relieved.promise.then(() => react(() => isThere(pod) ? start(pod, undefined) : undefined));
    }
    await start(pod, wrong);
  }

  async function start(pod: StoredObject, wrong: Trouble | undefined): Promise<void> {
    store.update(placeOf(pod), (before) => ({
      ...before,
      spec: { ...(isRecord(before["spec"]) ? before["spec"] : {}), nodeName: NODE },
    }));
    setConditions(pod, [{ type: "PodScheduled", status: "True" }]);
    tell(pod, "Scheduled", `Successfully assigned ${pod.metadata.name} to ${NODE}`);
    tell(pod, "Pulling", `Pulling image "${textAt(containerOf(pod), "image")}"`);
    setStatus(pod, "Pending", { waiting: { reason: "ContainerCreating" } });
    if (wrong?.kind === "waiting") {
      const message = wrong.message.replaceAll("%IMAGE%", textAt(containerOf(pod), "image"));
      for (const reason of wrong.reasons) {
        setStatus(pod, "Pending", { waiting: { reason, ...(message !== "" && { message }) } });
        await nextTurn();
      }
      return void relieved.promise.then(() => react(() => isThere(pod) ? start(pod, undefined) : undefined));
    }
    await mountsAreThere(pod);
    if (ended || !isThere(pod)) return;
    if (wrong?.kind === "crash") {
      runOf(pod).log.push(...wrong.log);
      const { exitCode, reason } = wrong;
      return setStatus(pod, "Running", { terminated: { exitCode, reason } });
    }
    startContainer(pod, wrong?.kind === "agent" ? wrong.answers : undefined);
  }

  function startContainer(pod: StoredObject, answers: AgentAnswer | undefined, lastState: JsonObject = {}): void {
    runAgent(pod, answers);
    setStatus(pod, "Running", { running: { startedAt: new Date().toISOString() } }, lastState);
  }

  function runAgent(pod: StoredObject, answers: AgentAnswer | undefined): void {
    const agent = startAgent(pod, runOf(pod), answers);
    if (agent !== undefined) runOf(pod).agent = agent;
  }

  function startAgent(pod: StoredObject, { network, log }: Run, answers: AgentAnswer | undefined) {
    const { port, key: publicKey = "" } = agentFlags(at(containerOf(pod), "command"));
    if (port === undefined || answers === "none") return undefined;
    if (answers !== undefined) return network.run(() => startImpostor(port, answers));
    return network.run(() =>
      listenForHosts(port, {
        publicKey,
        version: options.agentVersion,
        environment: environmentOf(pod),
        log: makeLog((line) => log.push(line)),
      })
    );
  }

  /** Waits, as a kubelet does, for what the pod's volumes are made of. */
  async function mountsAreThere(pod: StoredObject): Promise<void> {
    const volumes = at(pod, "spec", "volumes");
    const names = (Array.isArray(volumes) ? volumes : []).map((volume) => textAt(volume, "configMap", "name"));
    for (const name of names.filter((each) => each !== "")) {
      const place = { resource: served("configmaps"), namespace: textAt(pod, "metadata", "namespace"), name };
      while (!store.list(place).some(({ metadata }) => metadata.name === name)) {
        if (ended || !isThere(pod)) return;
        await nextTurn();
      }
    }
  }

  async function end(pod: StoredObject): Promise<void> {
    const ending = runs.get(pod.metadata.uid);
    await ending?.agent?.[Symbol.asyncDispose]();
    if (ending !== undefined) delete ending.agent;
  }

  async function remove(pod: StoredObject): Promise<void> {
    await end(pod);
    if (isThere(pod)) store.remove(placeOf(pod), { uid: pod.metadata.uid });
  }

  function isThere(pod: StoredObject): boolean {
    return store.list(placeOf(pod)).some(({ metadata }) => metadata.uid === pod.metadata.uid);
  }

  function runOf({ metadata: { uid } }: StoredObject): Run {
    const found = runs.get(uid);
    if (found === undefined) throw badRequest("the node does not know the pod yet");
    return found;
  }

  /** An event, as `kubectl describe` shows them. */
  function tell(pod: StoredObject, reason: string, message: string): void {
    const { name, uid } = pod.metadata;
    store.create({ resource: served("events"), namespace: textAt(pod, "metadata", "namespace") }, {
      metadata: { name: `${name}.${(++events).toString(16)}` },
      involvedObject: { kind: "Pod", name, uid },
      type: "Normal",
      reason,
      message,
    });
  }

  function setStatus(pod: StoredObject, phase: string, state: JsonObject, lastState: JsonObject = {}): void {
    const name = textAt(containerOf(pod), "name");
    const running = "running" in state;
    const { restarts: restartCount } = runOf(pod);
    const containerID = `containerd://${pod.metadata.uid}-${restartCount}`;
    const status = { name, containerID, state, lastState, ready: running, started: running, restartCount };
    const ready = { type: "Ready", status: running ? "True" : "False" };
    change(pod, { phase, containerStatuses: [status], conditions: [{ type: "PodScheduled", status: "True" }, ready] });
  }

  function setConditions(pod: StoredObject, conditions: Json[]): void {
    change(pod, { phase: "Pending", conditions });
  }

  function change(pod: StoredObject, fields: JsonObject): void {
    store.update(placeOf(pod), (before) => ({
      ...before,
      status: { ...(isRecord(before["status"]) ? before["status"] : {}), ...fields },
    }));
  }
}

function isAskedToEnd({ before, after }: Change): boolean {
  return before?.metadata["deletionTimestamp"] === undefined && after.metadata["deletionTimestamp"] !== undefined;
}

function placeOf({ metadata }: StoredObject): Place {
  return { resource: served("pods"), namespace: textAt(metadata, "namespace"), name: metadata.name };
}

function containerOf(pod: StoredObject): Json | undefined {
  const containers = at(pod, "spec", "containers");
  return Array.isArray(containers) ? containers[0] : undefined;
}

/** The agent's own words in its container's command; any other command runs nothing that listens. */
function agentFlags(command: Json | undefined): { port?: number; key?: string } {
  const args = Array.isArray(command) ? command.map(String) : [];
  const options = { port: { type: "string" }, key: { type: "string" } } as const;
  const { values } = parseArgs({ args, options, strict: false, allowPositionals: true });
  return {
    ...(typeof values.port === "string" && { port: Number(values.port) }),
    ...(typeof values.key === "string" && { key: values.key }),
  };
}

function environmentOf(pod: StoredObject): Record<string, string> {
  const env = at(containerOf(pod), "env");
  const own = (Array.isArray(env) ? env : []).map((each) => [textAt(each, "name"), textAt(each, "value")]);
  return {
    PATH: "/usr/local/bin:/usr/bin:/bin",
    HOME: "/home/deno",
    HOSTNAME: pod.metadata.name,
    KUBERNETES_SERVICE_HOST: "10.96.0.1",
    KUBERNETES_SERVICE_PORT: "443",
    ...Object.fromEntries(own),
  };
}

function readLog(pod: StoredObject, { log: current, previousLog }: Run, query: URLSearchParams): string {
  const name = textAt(containerOf(pod), "name");
  const asked = query.get("container") ?? name;
  if (asked !== name) throw badRequest(`container ${asked} is not valid for pod ${pod.metadata.name}`);
  const log = query.get("previous") === "true" ? previousLog : current;
  if (log === undefined) {
    throw badRequest(`previous terminated container "${name}" in pod "${pod.metadata.name}" not found`);
  }
  const statuses = at(pod, "status", "containerStatuses");
  const reason = Array.isArray(statuses) ? textAt(statuses[0], "state", "waiting", "reason") : "";
  if (reason !== "") {
    const why = /Image/.test(reason) ? "image can't be pulled" : reason;
    throw badRequest(`container "${name}" in pod "${pod.metadata.name}" is waiting to start: ${why}`);
  }
  return log.slice(-Number(query.get("tailLines") ?? Infinity)).map((line) => `${line}\n`).join("");
}

/** Something that answers where the agent should be. */
function startImpostor(port: number, answers: AgentAnswer): AsyncDisposable {
  const listener = Deno.listen({ port });
  const open = new Set<Deno.TcpConn>();
  const words = answers === "stranger"
    ? new TextEncoder().encode("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
    : foreignHello();
  const accepting = (async () => {
    for await (const conn of listener) {
      open.add(conn);
      if (answers !== "silent") await conn.write(words);
    }
  })();
  return {
    async [Symbol.asyncDispose]() {
      listener.close();
      for (const conn of open) closeQuietly(conn);
      await accepting;
    },
  };
}

/** The first message of an agent that came long after us (lib/transport/spec.md). */
function foreignHello(): Uint8Array {
  const body = new TextEncoder().encode(JSON.stringify({ telepresence: 9, version: "9.9.9", challenge: "AAAA" }));
  return new Uint8Array([body.length >> 8, body.length & 0xff, ...body]);
}

/** Lets everything else that is ready go first. */
async function nextTurn(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  setTimeout(resolve, 0);
  await promise;
}
