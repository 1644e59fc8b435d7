/**
 * The claim on a workload's place: a ConfigMap of a name that follows from the workload's, so that the API server lets
 * one session at a time have it. It holds what gives the place back, for whoever finds it.
 *
 * Why not an annotation on the workload: the Deployment controller copies annotations to ReplicaSets and never takes
 * them away there, so something of ours would stay; a bare Pod that had to go could carry none; and what an owner
 * applies would take it away. The workload itself is changed in its number of replicas alone.
 *
 * @module
 */
import { type ConfigMap, configMaps, isAlreadyExists, isNotFound, type KubeClient } from "@/kube/mod.ts";
import { unfold, UserError } from "@/util/mod.ts";
import * as z from "zod/mini";
import { SESSION_LABEL } from "../labels.ts";
import type { Manifest } from "../proxy/manifest.ts";
import { acquireObject, type MakeOptions } from "../proxy/objects.ts";
import { type PlaceStep, placeText, type SessionRecord } from "../safety/record.ts";
import type { WorkloadName } from "./original.ts";

/** Marks the claims among what sessions make. */
export const CLAIM_LABEL = "telepresence-claim";

/** Who has a place. */
export interface Holder {
  readonly sessionId: string;
  /** ISO 8601. */
  readonly since: string;
  /** `user@host`. */
  readonly by: string;
}

/** The name of the claim on a workload. */
export function nameOfClaim({ kind, name }: WorkloadName): string {
  return `telepresence.${kind}.${name}`;
}

/**
 * Makes the claim; disposing it deletes it.
 *
 * @throws {UserError} when another session has the place
 */
export async function acquireClaim(
  step: PlaceStep,
  record: SessionRecord,
  options: MakeOptions,
): Promise<ConfigMap & AsyncDisposable> {
  try {
    return await acquireObject(configMaps, claimManifest(step, record), options);
  } catch (error) {
    if (unfold(error).some(isAlreadyExists)) {
      await requireUnclaimed({ kind: step.workload, name: step.name }, { ...options, namespace: record.namespace });
    }
    throw error;
  }
}

/** The claim as it is made. */
export function claimManifest(step: PlaceStep, { namespace, sessionId, since, by }: SessionRecord): Manifest {
  const labels = {
    [SESSION_LABEL]: sessionId,
    [CLAIM_LABEL]: step.workload,
    "app.kubernetes.io/managed-by": "telepresence",
  };
  return { metadata: { name: step.claim, namespace, labels }, data: claimData(step, { sessionId, since, by }) };
}

/** What a claim says. */
export function claimData(step: PlaceStep, holder: Holder): Record<string, string> {
  return { since: holder.since, by: holder.by, place: JSON.stringify(step) };
}

/** Whose a claim is. */
export function holderOf({ metadata: { labels }, data }: ConfigMap): Holder {
  return { sessionId: labels[SESSION_LABEL] ?? "", since: data["since"] ?? "", by: data["by"] ?? "" };
}

/** What a claim in the cluster says: how its place is given back. @throws {UserError} when it is none of ours */
export function placeOfClaim(data: Readonly<Record<string, string>>): PlaceStep {
  const place = readPlace(data);
  if (place === undefined) throw new UserError("Cannot read a claim on a workload: it does not say of which");
  return place;
}

/** The same for who only looks: anybody who may write ConfigMaps can write one that is none. */
export function readPlace(data: Readonly<Record<string, string>>): PlaceStep | undefined {
  try {
    return z.parse(placeText, JSON.parse(data["place"] ?? ""));
  } catch {
    return undefined;
  }
}

/**
 * Refuses a workload that another session has.
 *
 * @throws {UserError} that names who has it since when
 */
export async function requireUnclaimed(
  workload: WorkloadName,
  { kube, namespace, signal }: { kube: KubeClient; namespace: string; signal: AbortSignal },
): Promise<void> {
  try {
    const claim = await kube.get(configMaps, { namespace, name: nameOfClaim(workload) }, { signal });
    throw claimed(workload, namespace, holderOf(claim));
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

function claimed({ kind, name }: WorkloadName, namespace: string, { sessionId, since, by }: Holder): UserError {
  return new UserError(
    `Cannot swap ${kind} "${name}" in namespace "${namespace}": ${by} has it since ${since} (session ${
      sessionId.slice(0, 10)
    })`,
    {
      hints: [
        "--take-over ends that session and takes it",
        `If that session is over, this gives the ${kind} back: telepresence recover --namespace ${namespace} ${
          sessionId.slice(0, 10)
        }`,
      ],
    },
  );
}
