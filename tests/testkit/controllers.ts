/**
 * The controllers that make pods: a Deployment's replica set, and the replica set's one pod.
 *
 * @module
 */
import { at, isRecord, type Json, type JsonObject, textAt } from "./json.ts";
import { served } from "./resources.ts";
import { randomLetters, type Store, type StoredObject } from "./store.ts";
import type { Trouble } from "./troubles.ts";

/** What the controllers work on. */
export interface ControllerOptions {
  readonly store: Store;
  readonly trouble: () => Trouble | undefined;
  readonly react: (task: () => void | Promise<void>) => void;
}

/** Starts them: they react to changes of the store. */
export function startControllers({ store, trouble, react }: ControllerOptions): void {
  store.onChange(({ resource, before, after, deleted }) => {
    if (resource.kind === "Deployment" && before === undefined) react(() => makeReplicaSet(after));
    if (resource.kind === "ReplicaSet" && before === undefined) react(() => makePod(after));
    if (resource.kind === "Pod" && deleted) react(() => replacePod(after));
    const isFailed = textAt(after, "status", "phase") === "Failed";
    if (resource.kind === "Pod" && isFailed && textAt(before, "status", "phase") !== "Failed") {
      react(() => replacePod(after)); // it stays as it is, for somebody to look at
    }
    if (resource.kind === "Pod" && !deleted && before !== undefined) react(() => countReplicas(after));
  });

  function makeReplicaSet(deployment: StoredObject): void {
    const template = at(deployment, "spec", "template");
    const hash = randomLetters(10);
    const labels = { ...record(at(template, "metadata", "labels")), "pod-template-hash": hash };
    store.create(inNamespaceOf(deployment, "replicasets"), {
      metadata: { name: `${deployment.metadata.name}-${hash}`, labels, ownerReferences: [ownedBy(deployment)] },
      spec: {
        replicas: at(deployment, "spec", "replicas"),
        selector: { matchLabels: labels },
        template: { ...record(template), metadata: { labels } },
      },
    });
  }

  function makePod(replicaSet: StoredObject): void {
    const replicas = at(replicaSet, "spec", "replicas");
    if (replicas === 0) return;
    const name = `${replicaSet.metadata.name}-${randomLetters(5)}`;
    const wrong = trouble();
    if (wrong?.kind === "refused") return failReplicas(replicaSet, wrong.message.replaceAll("%POD%", name));
    const template = record(at(replicaSet, "spec", "template"));
    const metadata = {
      ...record(template["metadata"]),
      name,
      generateName: `${replicaSet.metadata.name}-`,
      ownerReferences: [ownedBy(replicaSet)],
    };
    store.create(inNamespaceOf(replicaSet, "pods"), { metadata, spec: template["spec"], status: { phase: "Pending" } });
  }

  /** A replica set that is still there makes another pod for one that is gone. */
  function replacePod(pod: StoredObject): void {
    const owner = ownerOf(pod, "replicasets");
    if (owner !== undefined) makePod(owner);
  }

  function failReplicas(replicaSet: StoredObject, message: string): void {
    const deployment = ownerOf(replicaSet, "deployments");
    if (deployment === undefined) return;
    setStatus(deployment, {
      observedGeneration: 1,
      unavailableReplicas: 1,
      conditions: [
        {
          type: "Progressing",
          status: "True",
          reason: "NewReplicaSetCreated",
          message: `Created new replica set "${replicaSet.metadata.name}"`,
        },
        {
          type: "Available",
          status: "False",
          reason: "MinimumReplicasUnavailable",
          message: "Deployment does not have minimum availability.",
        },
        { type: "ReplicaFailure", status: "True", reason: "FailedCreate", message },
      ],
    });
  }

  function countReplicas(pod: StoredObject): void {
    const replicaSet = ownerOf(pod, "replicasets");
    const deployment = replicaSet && ownerOf(replicaSet, "deployments");
    if (deployment === undefined) return;
    const statuses = at(pod, "status", "containerStatuses");
    const ready = Array.isArray(statuses) && at(statuses[0], "ready") === true ? 1 : 0;
    setStatus(deployment, {
      observedGeneration: 1,
      replicas: 1,
      updatedReplicas: 1,
      readyReplicas: ready,
      availableReplicas: ready,
      conditions: [{ type: "Available", status: ready ? "True" : "False", reason: "", message: "" }],
    });
  }

  function setStatus(deployment: StoredObject, status: JsonObject): void {
    const place = { ...inNamespaceOf(deployment, "deployments"), name: deployment.metadata.name };
    store.update(place, (before) => ({ ...before, status }));
  }

  function ownerOf(object: StoredObject, plural: string): StoredObject | undefined {
    const owners = object.metadata["ownerReferences"];
    const uids = (Array.isArray(owners) ? owners : []).map((owner) => textAt(owner, "uid"));
    return store.list(inNamespaceOf(object, plural)).find(({ metadata }) => uids.includes(metadata.uid));
  }
}

function inNamespaceOf({ metadata }: StoredObject, plural: string) {
  return { resource: served(plural), namespace: textAt(metadata, "namespace") };
}

function ownedBy({ apiVersion, kind, metadata: { name, uid } }: StoredObject): Json {
  return { apiVersion, kind, name, uid, controller: true, blockOwnerDeletion: true };
}

function record(value: Json | undefined): JsonObject {
  return isRecord(value) ? value : {};
}
