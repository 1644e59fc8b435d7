import {
  configMaps,
  daemonSets,
  deployments,
  isConflict,
  type KubeClient,
  type Metadata,
  pods,
  replicaSets,
  type Resource,
  statefulSets,
} from "@/kube/mod.ts";
import type { Log } from "@/log/mod.ts";
import { sleep, UserError } from "@/util/mod.ts";
import { type Journal, placeIn } from "../safety/journal.ts";
import { type PlaceStep, titleOf } from "../safety/record.ts";
import { NOWHERE } from "../safety/undo.ts";
import { claimData } from "./claim.ts";

/** How often a change that somebody else got in between of is tried. */
const ATTEMPTS = 10;
const PAUSE_MS = 50;

/** What displacing needs. */
export interface DisplaceOptions {
  readonly kube: KubeClient;
  readonly log: Log;
  readonly journal: Journal;
  readonly signal: AbortSignal;
}

/**
 * Takes the pods of the original away that the journal tells of. How many it has at this very moment is written down
 * before: an autoscaler may have changed that since the session began.
 *
 * @throws {UserError} when the workload was replaced meanwhile; {KubeError} when the server refuses
 */
export async function displace(options: DisplaceOptions): Promise<void> {
  const step = placeIn(options.journal);
  if (step === undefined) throw new TypeError("The journal tells of no place to take");
  for (let attempt = 1;; attempt++) {
    try {
      return await displaceOnce(step, options);
    } catch (error) {
      if (!isConflict(error) || attempt === ATTEMPTS) throw error;
      await sleep(PAUSE_MS, options.signal);
    }
  }
}

async function displaceOnce(step: PlaceStep, options: DisplaceOptions): Promise<void> {
  switch (step.workload) {
    case "deployment":
      return await scaleAway(deployments, step, options);
    case "replicaset":
      return await scaleAway(replicaSets, step, options);
    case "statefulset":
      return await scaleAway(statefulSets, step, options);
    case "daemonset":
      return await sendNowhere(step, options);
    case "pod":
      return await removePod(step, options);
  }
}

type Scaled = Resource<{ readonly metadata: Metadata; readonly spec: { readonly replicas: number } }>;

async function scaleAway(resource: Scaled, step: PlaceStep, options: DisplaceOptions): Promise<void> {
  const { kube, log, journal, signal } = options;
  const { namespace } = journal.record;
  const { metadata, spec } = await kube.get(resource, { namespace, name: step.name }, { signal });
  requireSame(step, metadata);
  const known = { ...step, replicas: spec.replicas };
  if (spec.replicas !== step.replicas) await rewrite(known, options);
  if (spec.replicas === 0) return;
  const body = { metadata: { resourceVersion: metadata.resourceVersion }, spec: { replicas: 0 } };
  await kube.patch(resource, { namespace, name: step.name }, { type: "merge", body }, { signal });
  log.info(`Scaled ${titleOf(step)} from ${spec.replicas} to 0`);
}

/** No node has the label, so the DaemonSet's pods go everywhere; it has no number of replicas to be 0. */
async function sendNowhere(step: PlaceStep, { kube, log, journal, signal }: DisplaceOptions): Promise<void> {
  const where = { namespace: journal.record.namespace, name: step.name };
  const { metadata } = await kube.get(daemonSets, where, { signal });
  requireSame(step, metadata);
  const nodeSelector = { [NOWHERE]: journal.record.sessionId };
  const body = {
    metadata: { resourceVersion: metadata.resourceVersion },
    spec: { template: { spec: { nodeSelector } } },
  };
  await kube.patch(daemonSets, where, { type: "merge", body }, { signal });
  log.info(`Sent ${titleOf(step)} away from its nodes`);
}

async function removePod(step: PlaceStep, { kube, log, journal, signal }: DisplaceOptions): Promise<void> {
  const { namespace } = journal.record;
  await kube.delete(pods, { namespace, name: step.name }, { uid: step.uid, signal });
  log.info(`Deleted ${titleOf(step)}, to be made again`);
}

function requireSame(step: PlaceStep, { uid }: Metadata): void {
  if (uid !== step.uid) throw new UserError(`Cannot swap ${titleOf(step)}: it was replaced a moment ago`);
}

/** Says it anew in the journal, then in the cluster; the change itself comes after both. */
async function rewrite(step: PlaceStep, { kube, journal, signal }: DisplaceOptions): Promise<void> {
  await journal.add(step);
  const { namespace } = journal.record;
  const body = { data: claimData(step, journal.record) };
  await kube.patch(configMaps, { namespace, name: step.claim }, { type: "merge", body }, { signal });
}
