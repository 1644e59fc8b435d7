/**
 * What a session wrote down before it changed anything: data alone, enough to undo everything with nothing else than
 * the cluster.
 *
 * @module
 */
import * as z from "zod/mini";
import { WORKLOAD_KINDS } from "../workload/original.ts";

const deleteSchema = z.object({
  kind: z.literal("delete"),
  resource: z.enum(["configmap", "deployment", "service"]),
  name: z.string(),
  /** Known once the object is made. */
  uid: z.optional(z.string()),
});

/** A name as the API has them. A claim is anybody's words, and hints to be pasted into a shell are made of it. */
const nameSchema = z.string().check(z.maxLength(253), z.regex(/^[a-z0-9][a-z0-9.-]*$/));

const placeSchema = z.object({
  kind: z.literal("place"),
  workload: z.enum(WORKLOAD_KINDS),
  name: nameSchema,
  uid: z.string(),
  /** How many pods it had. */
  replicas: z.number(),
  /** The ConfigMap that holds the place in the cluster; it goes last, and stays when the original cannot come back. */
  claim: nameSchema,
  /** Whether the original had to go before the proxy could come, so that the proxy goes before it comes back. */
  originalFirst: z.boolean(),
  /** A bare Pod as it is made again. */
  manifest: z.optional(z.looseObject({ metadata: z.looseObject({ name: z.string() }) })),
});

/** One change, as what undoes it. */
export type Step = DeleteStep | PlaceStep;
/** An object that is deleted. */
export type DeleteStep = z.infer<typeof deleteSchema>;
/** A workload that gets its place back. */
export type PlaceStep = z.infer<typeof placeSchema>;

/** What a claim in the cluster says: how to undo, for whoever finds it. */
export const placeText: z.ZodMiniType<PlaceStep> = placeSchema;

const recordSchema = z.object({
  version: z.literal(1),
  sessionId: z.string(),
  /** ISO 8601. */
  since: z.string(),
  /** `user@host`, for other people. */
  by: z.string(),
  /** The process of the session; its start tells it from a later one of the same number. */
  process: z.object({ pid: z.int(), started: z.string() }),
  /** Where the cluster is found again. */
  cluster: z.object({ context: z.string(), server: z.string(), kubeconfig: z.optional(z.string()) }),
  namespace: z.string(),
  /** What the session does, as the user asked for it: `--swap-deployment web`. */
  doing: z.string(),
  /** The proxy's pod; there once it is known, and another one when that was replaced. */
  pod: z.optional(z.string()),
  steps: z.array(z.discriminatedUnion("kind", [deleteSchema, placeSchema])),
});

/** All that a session wrote down. */
export type SessionRecord = z.infer<typeof recordSchema>;

/** The record that a text is. @throws when it is none */
export function parseRecord(text: string): SessionRecord {
  return z.parse(recordSchema, JSON.parse(text));
}

/** What a step is about, as words for the user. */
export function titleOf(step: Step): string {
  return step.kind === "delete" ? `${step.resource}/${step.name}` : `${step.workload}/${step.name}`;
}

/** What would be left if nothing were undone, as words for the user. */
export function leftoverOf(step: Step): string {
  if (step.kind === "delete") return titleOf(step);
  const had = step.workload === "deployment" || step.workload === "replicaset" || step.workload === "statefulset";
  return `${titleOf(step)}${had ? ` (had ${step.replicas} replicas)` : " (without pods)"}`;
}

/** The command with which anybody gives back what a session left, from what the cluster says of it. */
export function recoverBy({ namespace, sessionId }: Pick<SessionRecord, "namespace" | "sessionId">): string {
  return `telepresence recover --namespace ${namespace} ${sessionId.slice(0, 10)}`;
}
