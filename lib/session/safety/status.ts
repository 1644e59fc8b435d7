import {
  configMaps,
  deployments,
  isForbidden,
  type KubeClient,
  loadKubeconfig,
  type Metadata,
  openKubeClient,
  type Resource,
} from "@/kube/mod.ts";
import { messageOf, UserError } from "@/util/mod.ts";
import { SESSION_LABEL } from "../labels.ts";
import { CLAIM_LABEL, readPlace } from "../workload/claim.ts";
import { type Guests, readGuests } from "../workload/guests.ts";
import { hasSteps, journalDirectory, readJournals } from "./journal.ts";
import { isRunning } from "./process_identity.ts";
import { readLeftOver, type RecoverOptions } from "./recover.ts";
import { titleOf } from "./record.ts";

/** One session, as far as it is known from here. */
export interface SessionStatus {
  readonly session: string;
  /** `running` and `left over` are sessions of this machine; of others the cluster does not tell which they are. */
  readonly state: "running" | "left over" | "elsewhere";
  /** ISO 8601. */
  readonly since: string;
  /** `user@host`, where it is known. */
  readonly by: string;
  readonly context: string;
  readonly namespace: string;
  readonly doing: string;
  /** What it has in the cluster. */
  readonly objects: readonly string[];
  /** Its process, of this machine. */
  readonly pid?: number;
  /** The proxy's pod that it is in, where it is a session of this machine. */
  readonly pod?: string;
}

/** Where is looked, and how it is told. */
export interface StatusWanted {
  readonly context?: string;
  readonly namespace?: string;
  readonly allNamespaces: boolean;
  readonly output: "text" | "json";
}

/** What reading the status needs. */
export interface StatusOptions extends RecoverOptions {
  /** Our version, for the agents that are asked. */
  readonly version: string;
}

/** Beginnings of the ids of sessions of this machine that are left over. */
export async function leftSessions(where: Pick<RecoverOptions, "env" | "home">): Promise<string[]> {
  return (await readLeftOver({ ...where, say: () => {} })).map(({ record }) => record.sessionId.slice(0, 10));
}

/** Prints the sessions of this machine, and those in the cluster. @returns the exit code */
export async function showStatus(
  wanted: StatusWanted,
  options: StatusOptions & { print(text: string): void },
): Promise<number> {
  const sessions = await readStatus(wanted, options);
  options.print(wanted.output === "json" ? `${JSON.stringify({ sessions }, undefined, 2)}\n` : textOf(sessions));
  return 0;
}

async function readStatus(wanted: StatusWanted, options: StatusOptions): Promise<SessionStatus[]> {
  const { env, home, say } = options;
  const journals = (await readJournals(journalDirectory(env, home), say)).map((stored) => {
    return { ...stored, isAlive: isRunning(stored.record.process) };
  });
  const own = journals.filter((each) => each.isAlive || hasSteps(each)).map(({ record, isAlive }): SessionStatus => ({
    session: record.sessionId.slice(0, 10),
    state: isAlive ? "running" : "left over",
    since: record.since,
    by: record.by,
    context: record.cluster.context,
    namespace: record.namespace,
    doing: record.doing,
    objects: record.steps.map(titleOf),
    pid: record.process.pid,
    ...(isAlive && record.pod !== undefined && { pod: record.pod }),
  }));
  const known = new Set(own.map(({ session }) => session));
  const others = await readOthers(wanted, options);
  return [...own, ...others.filter(({ session }) => !known.has(session))];
}

/** Sessions that the cluster knows of; without a way to it, those of this machine are told nevertheless. */
async function readOthers(wanted: StatusWanted, options: StatusOptions): Promise<SessionStatus[]> {
  const { env, home, say, signal, log, version } = options;
  try {
    const config = await loadKubeconfig({
      env,
      home,
      ...(wanted.context !== undefined && { context: wanted.context }),
    });
    await using kube = openKubeClient(config, { log: log.room("API") });
    const where = wanted.allNamespaces ? { allNamespaces: true } : { namespace: wanted.namespace ?? config.namespace };
    const [own, guests] = await Promise.all([
      inCluster(kube, where, config.contextName, signal),
      readGuests(where, { kube, version, log, signal }),
    ]);
    for (const { proxy, problem } of guests) {
      if (problem !== undefined) say(`Who uses deployment "${proxy}" is not shown: ${messageOf(problem)}`);
    }
    return [...own, ...guests.flatMap((proxy) => ofGuests(proxy, config.contextName))];
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    say(isForbidden(error) ? `Other people's sessions are not shown: ${error.message}` : error.message);
    return [];
  }
}

function ofGuests({ namespace, proxy, sessions }: Guests, context: string): SessionStatus[] {
  return sessions.map(({ session, since, by, ports }) => ({
    session,
    state: "elsewhere",
    since,
    by,
    context,
    namespace,
    doing: `--deployment ${proxy}${ports.length > 0 ? ` (ports ${ports.join(", ")})` : ""}`,
    objects: [],
  }));
}

async function inCluster(
  kube: KubeClient,
  where: { namespace?: string; allNamespaces?: boolean },
  context: string,
  signal: AbortSignal,
): Promise<SessionStatus[]> {
  const labelSelector = `${SESSION_LABEL},app.kubernetes.io/managed-by=telepresence`;
  const list = async <T extends { metadata: Metadata }>(resource: Resource<T>) =>
    (await kube.list(resource, { ...where, labelSelector }, { signal })).items;
  const [maps, proxies] = await Promise.all([list(configMaps), list(deployments)]);
  const titled = [
    ...maps.map(({ metadata }) => ({ metadata, title: `configmap/${metadata.name}` })),
    ...proxies.map(({ metadata }) => ({ metadata, title: `deployment/${metadata.name}` })),
  ];
  return [...Map.groupBy(titled, ({ metadata }) => metadata.labels[SESSION_LABEL] ?? "")].map(([id, objects]) => {
    const claim = maps.find(({ metadata: { labels } }) => labels[SESSION_LABEL] === id && CLAIM_LABEL in labels);
    const [first] = objects;
    const place = claim && readPlace(claim.data);
    const proxy = proxies.find(({ metadata }) => metadata.labels[SESSION_LABEL] === id);
    return {
      session: id.slice(0, 10),
      state: "elsewhere",
      since: claim?.data["since"] ?? first?.metadata.creationTimestamp ?? "",
      by: claim?.data["by"] ?? "",
      context,
      namespace: first?.metadata.namespace ?? "",
      doing: claim === undefined
        ? `--new-deployment ${proxy?.metadata.name ?? ""}`
        : `--swap-deployment ${place === undefined ? "?" : titleOf(place)}`,
      objects: objects.map(({ title }) => title),
    };
  });
}

function textOf(sessions: readonly SessionStatus[]): string {
  if (sessions.length === 0) return "No sessions.\n";
  const rows = sessions.map(({ session, state, since, by, namespace, doing, pid, pod }) => [
    session,
    pid !== undefined && state === "running" ? `running (process ${pid})` : state,
    since,
    by || "-",
    namespace,
    pod ?? "-",
    doing,
  ]);
  // What is from the cluster may be anybody's words: a line end in it is no line of the table.
  const cells = rows.map((row) => row.map((cell) => cell.replace(/\s+/g, " ")));
  const all = [["SESSION", "STATE", "SINCE", "BY", "NAMESPACE", "POD", "WHAT"], ...cells];
  const widths = (all[0] ?? []).map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const lines = all.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd());
  const left = sessions.some(({ state }) => state === "left over");
  return `${lines.join("\n")}\n${left ? "To give back what is left over: telepresence recover\n" : ""}`;
}
