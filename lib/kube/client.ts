import { silentLog } from "@/log/mod.ts";
import type { Duplex } from "@/util/mod.ts";
import * as z from "zod/mini";
import { type Api, type ApiOptions, type ApiRequest, openApi } from "./api.ts";
import type { ClusterConfig } from "./cluster_config.ts";
import { execCommand, type ExecOptions, type ExecResult } from "./exec.ts";
import { pods } from "./objects.ts";
import { type ExecStreamOptions, openExecStream } from "./exec_stream.ts";
import { openPortForwarder, type PortForwardOptions } from "./port_forwarder.ts";
import {
  anyResource,
  apiVersionOf,
  type KubeObject,
  listOf,
  type ObjectName,
  pathOf,
  type Resource,
} from "./resource.ts";
import { isGone, KubeError } from "./status.ts";
import { closable } from "./closable.ts";
import { readLines, type Selection, selectors, type WatchEvent, watchObjects, type WatchSelection } from "./watch.ts";

/** What every call that waits can be given up by. */
export interface CallOptions {
  /** Ends the wait; its reason is what the call throws. */
  readonly signal?: AbortSignal;
}

/** What a change can be tried with. */
export interface ChangeOptions extends CallOptions {
  /** Whether the server only says what it would do. @default {false} */
  readonly dryRun?: boolean;
}

/** A change of an object. */
export interface Patch {
  /**
   * `merge`: RFC 7396. `strategic`: lists are merged by their keys, built-in resources only. `json`: RFC 6902.
   * `apply`: server-side apply, which needs a field manager.
   */
  readonly type: "merge" | "strategic" | "json" | "apply";
  readonly body: unknown;
  /** Who owns the fields afterwards. */
  readonly fieldManager?: string;
  /** With `apply`: takes fields over from other managers. @default {false} */
  readonly force?: boolean;
}

/** How an object is deleted. */
export interface DeleteOptions extends CallOptions {
  /** What becomes of objects that it owns. @default {"Background"} */
  readonly propagation?: "Background" | "Foreground" | "Orphan";
  /** Precondition: the object that has this UID, not a later one of the same name. */
  readonly uid?: string;
  /** Precondition: the object as it was at this version. */
  readonly resourceVersion?: string;
  /** Seconds that a pod has to end; 0 is at once. @default {the object's own} */
  readonly gracePeriodSeconds?: number;
}

/** Which lines of a container's log. */
export interface LogOptions extends CallOptions {
  /** The last so many lines alone. */
  readonly tailLines?: number;
  /** Of the run before the last restart. @default {false} */
  readonly previous?: boolean;
}

/** A container of a pod; without its name, the only one. */
export interface ContainerName extends ObjectName {
  readonly container?: string;
}

/** The release of an API server. */
export interface KubeVersion {
  /** With patch release and suffix: `v1.34.1`. */
  readonly gitVersion: string;
  readonly major: number;
  readonly minor: number;
}

/**
 * A client of one API server. Each call throws a `KubeError` for what the server refuses, a `UserError` when it cannot
 * be reached or credentials cannot be had, and the signal's reason when the signal ends it. Disposing the client closes
 * the connections that wait for a next request; streams that were handed out live on.
 */
export interface KubeClient extends AsyncDisposable {
  readonly config: ClusterConfig;
  version(options?: CallOptions): Promise<KubeVersion>;
  get<T>(resource: Resource<T>, where: ObjectName, options?: CallOptions): Promise<T>;
  /** All selected objects (pages are fetched inside), and the version from which a watch can go on. */
  list<T>(
    resource: Resource<T>,
    where?: Selection,
    options?: CallOptions,
  ): Promise<{ items: T[]; resourceVersion: string }>;
  /** Stores a new object; `kind` and `apiVersion` are filled in, the namespace is that of its metadata. */
  create<T>(resource: Resource<T>, object: NewObject, options?: ChangeOptions): Promise<T>;
  patch<T>(resource: Resource<T>, where: ObjectName, patch: Patch, options?: ChangeOptions): Promise<T>;
  /** Puts `object` in the place of the stored one; with `metadata.resourceVersion`, only if that is its version. */
  replace<T>(resource: Resource<T>, object: NewObject, options?: ChangeOptions): Promise<T>;
  /** Asks for a deletion; the object may be there for a while after. Throws where there is none (`isNotFound`). */
  delete(resource: Resource<unknown>, where: ObjectName, options?: DeleteOptions): Promise<void>;
  /**
   * Changes as they happen, over lost connections and expired versions; goes on until the loop over it is left or
   * `signal` aborts (which throws its reason).
   */
  watch<T>(resource: Resource<T>, where?: WatchSelection, options?: CallOptions): AsyncIterable<WatchEvent<T>>;
  /** What a container wrote so far. */
  logs(where: ContainerName, options?: LogOptions): Promise<string>;
  /** The lines of a container's log, from now on too (`kubectl logs -f`); ends when the container does. */
  followLogs(where: ContainerName, options?: LogOptions): AsyncIterable<string>;
  /**
   * One connection to a TCP port of a pod, made by the node to `localhost` in the pod's network namespace. It resolves
   * when the node's server has answered, **before** that has connected: a port where nobody listens shows as a
   * `PortForwardError` of the first read.
   *
   * Reading has back-pressure: what nobody reads stays with the peer. A write takes 128 KiB at most and waits for the
   * socket. There is no half-close to rely on: by `websocket`, `closeWrite` sends what is under way and then ends both
   * directions (bytes already on their way to us can be read until `null`); by the other ways most nodes end the
   * connection a second later. Whoever needs a half-close carries it inside.
   *
   * A connection that is lost throws; only an end that the pod's side made reads as `null`. `signal` ends the opening
   * alone.
   */
  portForward(pod: ObjectName, port: number, options?: PortForwardOptions): Promise<Duplex>;
  /** Runs a command in a pod to its end; no shell is involved. */
  exec(pod: ObjectName, options: ExecOptions): Promise<ExecResult>;
  /**
   * Runs a command in a pod and gives its standard output to read and its standard input to write. A read gives `null`
   * when it has ended with exit code 0, and throws an `ExecError` for any other. `closeWrite` ends its input where the
   * server can pass that on (1.30 and later) and does nothing where it cannot. Closing does not end the command.
   */
  execStream(pod: ObjectName, options: ExecStreamOptions): Promise<Duplex>;
  /**
   * Whether the server would let us, as far as it can say beforehand (a SelfSubjectAccessReview): advice, since
   * authorizers may differ for the request itself.
   */
  mayI(access: AccessQuestion, options?: CallOptions): Promise<boolean>;
  /** Every namespaced resource that the server can list, in the version that it prefers. */
  discover(options?: CallOptions): Promise<Resource<KubeObject>[]>;
}

/** One thing that one may be allowed to do. */
export interface AccessQuestion {
  readonly verb: "get" | "list" | "watch" | "create" | "update" | "patch" | "delete";
  readonly resource: Pick<Resource<unknown>, "group" | "plural" | "namespaced">;
  /** `portforward`, `exec`, `log`. @default {the object itself} */
  readonly subresource?: string;
  /** @default {the configuration's namespace} */
  readonly namespace?: string;
  /** @default {any name} */
  readonly name?: string;
}

/** An object to be stored: any fields, a name (or `generateName`) and maybe a namespace. */
export interface NewObject {
  readonly metadata: { readonly name?: string; readonly generateName?: string; readonly namespace?: string };
  readonly [field: string]: unknown;
}

/** Objects of a page of a list; as client-go. */
const PAGE_SIZE = 500;

const CONTENT_TYPES = {
  merge: "application/merge-patch+json",
  strategic: "application/strategic-merge-patch+json",
  json: "application/json-patch+json",
  apply: "application/apply-patch+yaml", // JSON is YAML
} as const;

const versionSchema = z.object({ gitVersion: z.string(), major: z.string(), minor: z.string() });
const listSchema = z.object({
  metadata: z.object({ resourceVersion: z._default(z.string(), ""), continue: z.optional(z.string()) }),
  items: listOf(z.record(z.string(), z.unknown())),
});
const reviewSchema = z.object({ status: z.object({ allowed: z.boolean() }) });
const groupsSchema = z.object({
  groups: z.array(z.object({ preferredVersion: z.object({ groupVersion: z.string() }) })),
});
const resourcesSchema = z.object({
  resources: z.array(z.object({
    name: z.string(),
    kind: z.string(),
    namespaced: z.boolean(),
    verbs: listOf(z.string()),
  })),
});

/** Options of {@linkcode openKubeClient}. */
export type ClientOptions = ApiOptions;

/** Opens a client. Nothing is sent before the first call. */
export function openKubeClient(config: ClusterConfig, options: ClientOptions = {}): KubeClient {
  const { log = silentLog } = options;
  const api = openApi(config, options);
  const forward = openPortForwarder(api, { log });

  return {
    config,
    async version({ signal } = {}) {
      const { gitVersion, major, minor } = versionSchema.parse(
        await json(api, { method: "GET", path: "/version", action: "get the API server's version" }, signal),
      );
      return { gitVersion, major: parseInt(major), minor: parseInt(minor) };
    },
    async get(resource, where, { signal } = {}) {
      const path = pathOf(resource, namespaceOf(where), where.name);
      return resource.parse(await json(api, { method: "GET", path, ...about("get", resource, where) }, signal));
    },
    async list(resource, where = {}, { signal } = {}) {
      const { items, resourceVersion } = await listRaw(resource, where, signal);
      return { items: items.map((item) => resource.parse(item)), resourceVersion };
    },
    async create(resource, object, { dryRun = false, signal } = {}) {
      const { metadata } = object;
      return resource.parse(
        await json(api, {
          method: "POST",
          path: pathOf(resource, namespaceOf(metadata)),
          query: dry(dryRun),
          body: { apiVersion: apiVersionOf(resource), kind: resource.kind, ...object },
          ...about("create", resource, { ...metadata, name: metadata.name ?? `${metadata.generateName}*` }),
        }, signal),
      );
    },
    async patch(resource, where, { type, body, fieldManager, force }, { dryRun = false, signal } = {}) {
      return resource.parse(
        await json(api, {
          method: "PATCH",
          path: pathOf(resource, namespaceOf(where), where.name),
          query: [
            ...dry(dryRun),
            ...(fieldManager === undefined ? [] : [["fieldManager", fieldManager] as const]),
            ...(force ? [["force", "true"] as const] : []),
          ],
          contentType: CONTENT_TYPES[type],
          body,
          ...about("patch", resource, where),
        }, signal),
      );
    },
    async replace(resource, object, { dryRun = false, signal } = {}) {
      const where = { name: "", ...object.metadata };
      return resource.parse(
        await json(api, {
          method: "PUT",
          path: pathOf(resource, namespaceOf(where), where.name),
          query: dry(dryRun),
          body: { apiVersion: apiVersionOf(resource), kind: resource.kind, ...object },
          ...about("update", resource, where),
        }, signal),
      );
    },
    async delete(resource, where, options = {}) {
      const { propagation = "Background", uid, resourceVersion, gracePeriodSeconds, signal } = options;
      await json(api, {
        method: "DELETE",
        path: pathOf(resource, namespaceOf(where), where.name),
        body: {
          apiVersion: "v1",
          kind: "DeleteOptions",
          propagationPolicy: propagation,
          ...((uid !== undefined || resourceVersion !== undefined) && { preconditions: { uid, resourceVersion } }),
          ...(gracePeriodSeconds !== undefined && { gracePeriodSeconds }),
        },
        ...about("delete", resource, where),
      }, signal);
    },
    watch(resource, where = {}, { signal } = {}) {
      const path = pathOf(resource, scopeOf(where));
      const list = (signal: AbortSignal | undefined) => listRaw(resource, where, signal);
      const seams = { api, log, path, list, ...aboutList("watch", resource, where) };
      return closable((signal) => watchObjects(resource, where, seams, signal), signal);
    },
    async logs(where, { signal, ...options } = {}) {
      using response = await api.request(aboutLog(where, options), signal);
      return await response.text();
    },
    followLogs(where, { signal, ...options } = {}) {
      const request = aboutLog(where, options);
      const query = [...request.query, ["follow", "true"] as const];
      return closable((signal) => requestLines(api, { ...request, query }, signal), signal);
    },
    async portForward(pod, port, options = {}) {
      return await forward({ namespace: namespaceOf(pod), name: pod.name }, port, options);
    },
    async exec(pod, options) {
      return await execCommand(api, { namespace: namespaceOf(pod), name: pod.name }, options);
    },
    async execStream(pod, options) {
      return await openExecStream(api, { namespace: namespaceOf(pod), name: pod.name }, options);
    },
    async mayI({ verb, resource, subresource, name, ...where }, { signal } = {}) {
      const { group, plural, namespaced } = resource;
      const namespace = namespaced ? namespaceOf(where) : undefined;
      const review = await json(api, {
        method: "POST",
        path: "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        body: {
          apiVersion: "authorization.k8s.io/v1",
          kind: "SelfSubjectAccessReview",
          spec: { resourceAttributes: { verb, group, resource: plural, subresource, namespace, name } },
        },
        action: `ask whether we may ${verb} ${plural}`,
      }, signal);
      return reviewSchema.parse(review).status.allowed;
    },
    async discover({ signal } = {}) {
      return await discoverResources(api, signal);
    },
    [Symbol.asyncDispose]() {
      api[Symbol.dispose]();
      return Promise.resolve();
    },
  };

  function namespaceOf({ namespace }: { namespace?: string }): string {
    return namespace ?? config.namespace;
  }

  function aboutLog(where: ContainerName, { tailLines, previous = false }: LogOptions) {
    const namespace = namespaceOf(where);
    const query: [string, string][] = [];
    if (where.container !== undefined) query.push(["container", where.container]);
    if (tailLines !== undefined) query.push(["tailLines", String(tailLines)]);
    if (previous) query.push(["previous", "true"]);
    return {
      method: "GET",
      path: `${pathOf(pods, namespace, where.name)}/log`,
      query,
      action: `read the log of pod "${where.name}" in namespace "${namespace}"`,
      access: { verbs: ["get"], group: "", resource: "pods/log", namespace },
    } as const satisfies ApiRequest;
  }

  /** What is done to an object, for the message and the hints of an error. */
  function about(verb: string, resource: Resource<unknown>, where: ObjectName): Pick<ApiRequest, "action" | "access"> {
    const kind = resource.kind.replace(/(?<=[a-z])(?=[A-Z])/g, " ").toLowerCase();
    const namespace = resource.namespaced ? namespaceOf(where) : undefined;
    return {
      action: `${verb} ${kind} "${where.name}"${namespace === undefined ? "" : ` in namespace "${namespace}"`}`,
      access: { verbs: [verb], group: resource.group, resource: resource.plural, namespace },
    };
  }

  /** What is done to a list, likewise. */
  function aboutList(
    verb: string,
    resource: Resource<unknown>,
    where: Selection,
  ): Required<Pick<ApiRequest, "action" | "access">> {
    const namespace = resource.namespaced ? scopeOf(where) : undefined;
    return {
      action: `${verb} ${resource.plural}${namespace === undefined ? "" : ` in namespace "${namespace}"`}`,
      access: { verbs: [verb], group: resource.group, resource: resource.plural, namespace },
    };
  }

  /** The namespace to look in, or undefined where all are meant. */
  function scopeOf(where: Selection): string | undefined {
    return where.allNamespaces ? undefined : namespaceOf(where);
  }

  async function listRaw(
    resource: Resource<unknown>,
    where: Selection,
    signal: AbortSignal | undefined,
  ): Promise<{ items: unknown[]; resourceVersion: string }> {
    const path = pathOf(resource, scopeOf(where));
    const items: unknown[] = [];
    for (let token = "";;) {
      const query = [...selectors(where), ["limit", String(PAGE_SIZE)] as const];
      if (token !== "") query.push(["continue", token]);
      let page: z.infer<typeof listSchema>;
      try {
        page = listSchema.parse(
          await json(api, { method: "GET", path, query, ...aboutList("list", resource, where) }, signal),
        );
      } catch (error) {
        if (token === "" || !isGone(error)) throw error;
        items.length = 0; // the list that the page belongs to is too old: the whole of a newer one
        token = "";
        continue;
      }
      items.push(...page.items);
      token = page.metadata.continue ?? "";
      if (token === "") return { items, resourceVersion: page.metadata.resourceVersion };
    }
  }
}

async function* requestLines(api: Api, request: ApiRequest, signal: AbortSignal): AsyncGenerator<string, void, void> {
  using response = await api.request(request, signal);
  yield* readLines(response);
}

async function json(api: Api, request: ApiRequest, signal: AbortSignal | undefined): Promise<unknown> {
  using response = await api.request(request, signal);
  return JSON.parse(await response.text());
}

function dry(dryRun: boolean): readonly (readonly [string, string])[] {
  return dryRun ? [["dryRun", "All"]] : [];
}

async function discoverResources(api: Api, signal: AbortSignal | undefined): Promise<Resource<KubeObject>[]> {
  const action = "list what the API server serves";
  const { groups } = groupsSchema.parse(await json(api, { method: "GET", path: "/apis", action }, signal));
  const versions = ["v1", ...groups.map((group) => group.preferredVersion.groupVersion)];
  const found: Resource<KubeObject>[] = [];
  for (const groupVersion of versions) {
    const [group, version] = groupVersion.includes("/") ? groupVersion.split("/") : ["", groupVersion];
    if (group === undefined || version === undefined) continue;
    const path = group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
    const served = await json(api, { method: "GET", path, action }, signal).catch((error) => {
      // A group behind an aggregated API server that is down (metrics, often) is no reason to know nothing.
      if (error instanceof KubeError && (error.status === 503 || error.status === 404)) return { resources: [] };
      throw error;
    });
    const { resources } = resourcesSchema.parse(served);
    for (const { name: plural, kind, namespaced, verbs } of resources) {
      if (namespaced && verbs.includes("list") && !plural.includes("/")) {
        found.push(anyResource({ group, version, plural, kind, namespaced }));
      }
    }
  }
  return found;
}
