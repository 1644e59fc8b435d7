/**
 * The fake's memory: objects of any resource, their versions, and the history that watches read.
 *
 * Theory of operation. Every change gets the next version and is appended to one history of events, each with the
 * object before and after. A watch is a position in that history: it reads on, and waits at the end. Whoever deletes an
 * owner has its dependents deleted a turn of the event loop later, as the garbage collector of a cluster does.
 *
 * @module
 */
import { type Json, type JsonObject, mergePatch, textAt } from "./json.ts";
import { alreadyExists, expired, invalid, notFound, uidConflict, versionConflict } from "./refusal.ts";
import { served, type ServedResource } from "./resources.ts";
import type { Selector } from "./selectors.ts";
import { requireValid } from "./validate.ts";

/** An object as it is stored. */
export interface StoredObject extends JsonObject {
  apiVersion: string;
  kind: string;
  metadata: StoredMetadata;
}

/** What every stored object has. */
export interface StoredMetadata extends JsonObject {
  name: string;
  uid: string;
  resourceVersion: string;
}

/** Where an object is. */
export interface Place {
  readonly resource: ServedResource;
  readonly namespace: string | undefined;
  readonly name: string;
}

/** One change. */
export interface Change {
  readonly version: number;
  readonly resource: ServedResource;
  /** Undefined when it was created. */
  readonly before: StoredObject | undefined;
  /** The object after the change; after its deletion its last state, at the version of the deletion. */
  readonly after: StoredObject;
  readonly deleted: boolean;
}

/** What must hold for a deletion. */
export interface Preconditions {
  readonly uid?: string;
  readonly resourceVersion?: string;
}

/** The fake's memory. */
export interface Store {
  /** @throws {Refusal} 404 for its namespace, 409 for its name, 422 for what is wrong with it */
  create(where: Omit<Place, "name">, object: JsonObject, options?: { dryRun?: boolean }): StoredObject;
  /** @throws {Refusal} 404 */
  get(place: Place): StoredObject;
  /** Objects in the order of namespace and name, and the store's version. */
  list(where: Omit<Place, "name">, selects?: Selector): StoredObject[];
  readonly version: number;
  /** Changes an object; without a difference its version stays. @throws {Refusal} 404, 409, 422 */
  update(place: Place, change: (object: StoredObject) => JsonObject, options?: { dryRun?: boolean }): StoredObject;
  /** Takes an object away, and later what it owns. @throws {Refusal} 404, 409 */
  remove(place: Place, preconditions?: Preconditions): StoredObject;
  /** Changes after a version, as they come, until `signal` aborts (which ends it without an error). @throws {Refusal} 410 */
  follow(version: number, signal: AbortSignal): AsyncIterable<Change>;
  /** Calls back at each change. */
  onChange(callback: (change: Change) => void): void;
  /** Forgets all changes so far: a watch from before them is answered with 410. */
  compact(): void;
  /** Every object of every namespaced resource. */
  all(): { resource: ServedResource; object: StoredObject }[];
}

/** Makes an empty memory. */
export function makeStore(): Store {
  const objects = new Map<string, { resource: ServedResource; object: StoredObject }>();
  const history: Change[] = [];
  const callbacks: ((change: Change) => void)[] = [];
  let version = 100;
  let oldest = version;
  let changed = Promise.withResolvers<void>();

  const record = (change: Omit<Change, "version">) => {
    history.push({ version, ...change });
    changed.resolve();
    changed = Promise.withResolvers();
    for (const callback of callbacks) callback({ version, ...change });
  };

  const store: Store = {
    get version() {
      return version;
    },
    create({ resource, namespace }, object, { dryRun = false } = {}) {
      if (resource.namespaced) {
        store.get({ resource: served("namespaces"), namespace: undefined, name: namespace ?? "" });
      }
      const name = textAt(object, "metadata", "name") || generatedName(object);
      if (name === "") {
        const message = "Required value: name or generateName is required";
        throw invalid(resource, "", [{ field: "metadata.name", reason: "FieldValueRequired", message }]);
      }
      requireValid(resource, name, object);
      const key = keyOf({ resource, namespace, name });
      if (objects.has(key)) throw alreadyExists(resource, name);
      const sent = object["metadata"];
      const stored: StoredObject = {
        ...object,
        apiVersion: resource.group === "" ? resource.version : `${resource.group}/${resource.version}`,
        kind: resource.kind,
        metadata: {
          ...(typeof sent === "object" && !Array.isArray(sent) ? sent : {}),
          name,
          ...(resource.namespaced && { namespace }),
          uid: crypto.randomUUID(),
          resourceVersion: dryRun ? "" : String(++version),
          creationTimestamp: new Date().toISOString().replace(/\.\d+Z$/, "Z"),
        },
      };
      if (dryRun) return stored;
      objects.set(key, { resource, object: stored });
      record({ resource, before: undefined, after: stored, deleted: false });
      return stored;
    },
    get(place) {
      const found = objects.get(keyOf(place));
      if (found === undefined) throw notFound(place.resource, place.name);
      return found.object;
    },
    list({ resource, namespace }, selects = () => true) {
      return [...objects]
        .filter(([, each]) => each.resource === resource)
        .filter(([, { object }]) => namespace === undefined || object.metadata["namespace"] === namespace)
        .filter(([, { object }]) => selects(object))
        .sort(([a], [b]) => a < b ? -1 : 1)
        .map(([, { object }]) => object);
    },
    update(place, change, { dryRun = false } = {}) {
      const before = store.get(place);
      const wanted = change(before);
      const { uid, name, namespace, resourceVersion, creationTimestamp } = before.metadata;
      const asked = textAt(wanted, "metadata", "resourceVersion");
      if (asked !== "" && asked !== resourceVersion) throw versionConflict(place.resource, name);
      const fixed = { metadata: { uid, name, namespace, resourceVersion, creationTimestamp } };
      const after = mergePatch(wanted, fixed as Json) as StoredObject;
      requireValid(place.resource, name, after);
      if (dryRun || JSON.stringify(after) === JSON.stringify(before)) return after;
      after.metadata.resourceVersion = String(++version);
      objects.set(keyOf(place), { resource: place.resource, object: after });
      record({ resource: place.resource, before, after, deleted: false });
      return after;
    },
    remove(place, { uid, resourceVersion } = {}) {
      const before = store.get(place);
      const { metadata } = before;
      if (uid !== undefined && uid !== metadata.uid) throw uidConflict(place.resource, place.name, uid, metadata.uid);
      if (resourceVersion !== undefined && resourceVersion !== metadata.resourceVersion) {
        throw versionConflict(place.resource, place.name);
      }
      const after = { ...before, metadata: { ...metadata, resourceVersion: String(++version) } };
      objects.delete(keyOf(place));
      record({ resource: place.resource, before, after, deleted: true });
      queueMicrotask(() => collect(metadata.uid));
      return after;
    },
    async *follow(from, signal) {
      const { promise: aborted, resolve } = Promise.withResolvers<void>();
      signal.addEventListener("abort", () => resolve(), { once: true });
      if (from < oldest) throw expired(from, oldest);
      for (let next = history.findIndex((change) => change.version > from);;) {
        if (next < 0) next = history.length;
        for (let change; !signal.aborted && (change = history[next]) !== undefined; next++) {
          if (change.version > from) yield change;
        }
        if (signal.aborted) return;
        await Promise.race([changed.promise, aborted]);
      }
    },
    onChange: (callback) => void callbacks.push(callback),
    compact() {
      oldest = ++version;
    },
    all: () => [...objects.values()].filter(({ resource }) => resource.namespaced),
  };

  /** Deletes what belonged to an owner that is gone, unless another owner is still there. */
  function collect(uid: string): void {
    const there = new Set([...objects.values()].map(({ object }) => object.metadata.uid));
    for (const { resource, object } of [...objects.values()]) {
      const owners = object.metadata["ownerReferences"];
      if (!Array.isArray(owners) || !owners.some((owner) => textAt(owner, "uid") === uid)) continue;
      if (owners.some((owner) => there.has(textAt(owner, "uid")))) continue;
      const { name } = object.metadata;
      const namespace = textAt(object.metadata, "namespace");
      deleteGently(store, { resource, namespace, name });
    }
  }
  return store;
}

/**
 * Deletes as the API does: a pod that is on a node is asked to end and goes when its kubelet says so, everything else
 * goes at once.
 */
export function deleteGently(store: Store, place: Place, preconditions: Preconditions = {}): StoredObject {
  const found = store.get(place);
  const running = place.resource.kind === "Pod" && textAt(found, "spec", "nodeName") !== "";
  if (!running) return store.remove(place, preconditions);
  const { uid } = preconditions;
  if (uid !== undefined && uid !== found.metadata.uid) {
    throw uidConflict(place.resource, place.name, uid, found.metadata.uid);
  }
  if (found.metadata["deletionTimestamp"] !== undefined) return found;
  const deletionTimestamp = new Date().toISOString().replace(/\.\d+Z$/, "Z");
  return store.update(place, (pod) => ({ ...pod, metadata: { ...pod.metadata, deletionTimestamp } }));
}

function keyOf({ resource, namespace = "", name }: Place): string {
  return `${resource.group}/${resource.plural}/${resource.namespaced ? namespace : ""}/${name}`;
}

function generatedName(object: JsonObject): string {
  const prefix = textAt(object, "metadata", "generateName");
  return prefix === "" ? "" : prefix + randomLetters(5);
}

/** Letters as the API server's generated names have them: no vowels, so that no words come about. */
export function randomLetters(count: number): string {
  const letters = "bcdfghjklmnpqrstvwxz2456789";
  return [...crypto.getRandomValues(new Uint8Array(count))].map((byte) => letters[byte % letters.length]).join("");
}
