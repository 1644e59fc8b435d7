import { silentLog } from "@/log/mod.ts";
import * as z from "zod/mini";
import { type Api, type ApiOptions, type ApiRequest, openApi } from "./api.ts";
import { closable } from "./closable.ts";
import type { ClusterConfig } from "./cluster_config.ts";
import { tryUpgrade } from "./try_upgrade.ts";
import { discoverResources } from "./discover.ts";
import { execCommand } from "./exec.ts";
import { openExecStream } from "./exec_stream.ts";
import type { ContainerName, KubeClient, LogOptions } from "./kube_client.ts";
import { pods } from "./objects.ts";
import { openPortForwarder, type PortForwardWay } from "./port_forwarder.ts";
import { parseAnswer, requestJson } from "./request_json.ts";
import { apiVersionOf, listOf, type ObjectName, pathOf, type Resource } from "./resource.ts";
import { isGone } from "./status.ts";
import { readLines, type Selection, selectors, watchObjects } from "./watch.ts";

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

/** Options of {@linkcode openKubeClient}. */
export interface ClientOptions extends ApiOptions {
  /**
   * Ways to try for port-forwards, in this order; `exec` where a port-forward brings a command for it. By `spdy` a node
   * moved half as much again down and twice as much up (measured with containerd 1.6, whose WebSockets unmask byte by
   * byte); gateways that work on HTTP may not pass it on.
   *
   * @default {["websocket", "exec", "tunnel", "spdy"]}
   */
  readonly portForwardWays?: readonly PortForwardWay[];
}

/** Opens a client. Nothing is sent before the first call. */
export function openKubeClient(config: ClusterConfig, options: ClientOptions = {}): KubeClient {
  const { log = silentLog } = options;
  const api = openApi(config, options);
  const forward = openPortForwarder(api, options);

  return {
    config,
    async version({ signal } = {}) {
      const request = { method: "GET", path: "/version", action: "get the API server's version" } as const;
      const { gitVersion, major, minor } = await ask(request, versionSchema.parse, signal);
      return { gitVersion, major: parseInt(major), minor: parseInt(minor) };
    },
    async get(resource, where, { signal, onBusy } = {}) {
      const path = pathOf(resource, namespaceOf(where), where.name);
      return await ask({ method: "GET", path, onBusy, ...about("get", resource, where) }, resource.parse, signal);
    },
    async list(resource, where = {}, { signal } = {}) {
      const { items, resourceVersion } = await listRaw(resource, where, signal);
      const { action } = aboutList("list", resource, where);
      return { items: items.map((item) => parseAnswer(resource.parse, item, action)), resourceVersion };
    },
    async create(resource, object, { dryRun = false, signal, onBusy } = {}) {
      const { metadata } = object;
      return await ask(
        {
          method: "POST",
          path: pathOf(resource, namespaceOf(metadata)),
          query: dry(dryRun),
          body: { apiVersion: apiVersionOf(resource), kind: resource.kind, ...object },
          onBusy,
          ...about("create", resource, { ...metadata, name: metadata.name ?? `${metadata.generateName}*` }),
        },
        resource.parse,
        signal,
      );
    },
    async patch(resource, where, { type, body, fieldManager, force }, { dryRun = false, signal, onBusy } = {}) {
      return await ask(
        {
          method: "PATCH",
          path: pathOf(resource, namespaceOf(where), where.name),
          query: [
            ...dry(dryRun),
            ...(fieldManager === undefined ? [] : [["fieldManager", fieldManager] as const]),
            ...(force ? [["force", "true"] as const] : []),
          ],
          contentType: CONTENT_TYPES[type],
          body,
          onBusy,
          ...about("patch", resource, where),
        },
        resource.parse,
        signal,
      );
    },
    async replace(resource, object, { dryRun = false, signal, onBusy } = {}) {
      const where = { name: "", ...object.metadata };
      return await ask(
        {
          method: "PUT",
          path: pathOf(resource, namespaceOf(where), where.name),
          query: dry(dryRun),
          body: { apiVersion: apiVersionOf(resource), kind: resource.kind, ...object },
          onBusy,
          ...about("update", resource, where),
        },
        resource.parse,
        signal,
      );
    },
    async delete(resource, where, options = {}) {
      const { propagation = "Background", uid, resourceVersion, gracePeriodSeconds, signal, onBusy } = options;
      await ask(
        {
          method: "DELETE",
          path: pathOf(resource, namespaceOf(where), where.name),
          body: {
            apiVersion: "v1",
            kind: "DeleteOptions",
            propagationPolicy: propagation,
            ...((uid !== undefined || resourceVersion !== undefined) && { preconditions: { uid, resourceVersion } }),
            ...(gracePeriodSeconds !== undefined && { gracePeriodSeconds }),
          },
          onBusy,
          ...about("delete", resource, where),
        },
        (answer) => answer,
        signal,
      );
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
      const { status } = await ask(
        {
          method: "POST",
          path: "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
          body: {
            apiVersion: "authorization.k8s.io/v1",
            kind: "SelfSubjectAccessReview",
            spec: { resourceAttributes: { verb, group, resource: plural, subresource, namespace, name } },
          },
          action: `ask whether we may ${verb} ${plural}`,
        },
        reviewSchema.parse,
        signal,
      );
      return status.allowed;
    },
    async tryUpgrade(where = {}, { signal } = {}) {
      await tryUpgrade(api, namespaceOf(where), signal);
    },
    async discover({ signal } = {}) {
      return await discoverResources(api, signal);
    },
    [Symbol.asyncDispose]() {
      api[Symbol.dispose]();
      return Promise.resolve();
    },
  };

  function ask<T>(request: ApiRequest, parse: (value: unknown) => T, signal: AbortSignal | undefined): Promise<T> {
    return requestJson(api, request, parse, signal);
  }

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
        const request = { method: "GET", path, query, ...aboutList("list", resource, where) } as const;
        page = await ask(request, listSchema.parse, signal);
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

function dry(dryRun: boolean): readonly (readonly [string, string])[] {
  return dryRun ? [["dryRun", "All"]] : [];
}
