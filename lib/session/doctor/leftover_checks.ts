import { configMaps, deployments, isForbidden, type KubeClient } from "@/kube/mod.ts";
import { SESSION_LABEL } from "../labels.ts";
import { hasSteps, journalDirectory, readJournals } from "../safety/journal.ts";
import { isRunning } from "../safety/process_identity.ts";
import { leftoverOf } from "../safety/record.ts";
import { CLAIM_LABEL } from "../workload/claim.ts";
import { failed, type Finding, ok, warning } from "./finding.ts";

/** What looking for leftovers needs. */
export interface LeftoverOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly home: string;
  readonly signal: AbortSignal;
}

/** What sessions of this machine left, by their journals. */
export async function checkJournals({ env, home }: LeftoverOptions): Promise<Finding> {
  const check = "journals";
  const unreadable: string[] = [];
  const directory = journalDirectory(env, home);
  const journals = await readJournals(directory, (line) => unreadable.push(line));
  const left = journals.filter((each) => hasSteps(each) && !isRunning(each.record.process));
  if (unreadable.length > 0) {
    return warning(check, unreadable.join("; "), [`Look into them, and take them away: ls -l ${directory}`]);
  }
  if (left.length === 0) {
    const alive = journals.filter(({ record }) => isRunning(record.process)).length;
    const running = alive === 0 ? "" : ` (${alive} running)`;
    return ok(check, `sessions of this machine left nothing${running}`);
  }
  const things = left.flatMap(({ record }) => record.steps.map((step) => `${leftoverOf(step)} in ${record.namespace}`));
  return warning(check, `sessions that are gone left: ${things.join(", ")}`, [
    "To give it back: telepresence recover",
  ]);
}

/** Objects of sessions in the namespace, and whether those of this user on this machine have a session. */
export async function checkObjects(
  kube: KubeClient,
  namespace: string,
  { env, home, signal }: LeftoverOptions,
): Promise<Finding> {
  const check = "objects in the cluster";
  const labelSelector = `${SESSION_LABEL},app.kubernetes.io/managed-by=telepresence`;
  try {
    const [maps, proxies] = await Promise.all([
      kube.list(configMaps, { namespace, labelSelector }, { signal }),
      kube.list(deployments, { namespace, labelSelector }, { signal }),
    ]);
    const known = (await readJournals(journalDirectory(env, home), () => {})).map(({ record }) => record.sessionId);
    const me = `${env["USER"] ?? env["LOGNAME"] ?? "somebody"}@${Deno.hostname()}`;
    const idOf = ({ metadata }: { metadata: { labels: Readonly<Record<string, string>> } }) =>
      metadata.labels[SESSION_LABEL] ?? "";
    const lost = maps.items.filter((map) =>
      map.metadata.labels[CLAIM_LABEL] !== undefined && map.data["by"] === me && !known.includes(idOf(map))
    );
    const ids = new Set([...maps.items, ...proxies.items].map(idOf));
    if (lost.length > 0) {
      const ones = lost.map(idOf);
      return warning(check, `of you (${me}), and no session of this machine has them: ${ones.join(", ")}`, [
        `If they are not of another machine of that name: telepresence recover ${ones[0]?.slice(0, 10)} ` +
        `--namespace ${namespace}`,
      ]);
    }
    const orphans = maps.items.filter((map) =>
      !proxies.items.some((proxy) => idOf(proxy) === idOf(map)) && !known.includes(idOf(map)) &&
      map.metadata.labels[CLAIM_LABEL] === undefined
    );
    if (orphans.length > 0) {
      const ones = orphans.map(idOf);
      return warning(check, `ConfigMaps of sessions without a proxy: ${ones.map((id) => id.slice(0, 10)).join(", ")}`, [
        `If nobody is starting a session just now: telepresence recover ${ones[0]?.slice(0, 10)} ` +
        `--namespace ${namespace}`,
      ]);
    }
    return ok(check, ids.size === 0 ? "none of telepresence" : `of ${ids.size} sessions: telepresence status`);
  } catch (error) {
    signal.throwIfAborted();
    if (isForbidden(error)) {
      return warning(check, "not looked for, as you may not list configmaps and deployments", [
        "telepresence status shows the sessions of this machine",
      ]);
    }
    return failed(check, error, ["telepresence status"], "warning");
  }
}
