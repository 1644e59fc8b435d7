/**
 * One request to its answer: discovery, objects, watches, logs, port-forwards, commands in pods.
 *
 * @module
 */
import type { Connection } from "./connection.ts";
import { serveExec } from "./exec.ts";
import type { Asked, Faults } from "./faults.ts";
import { type Answer, type Request, sendAnswer, startChunked } from "./http.ts";
import { isRecord, type Json, type JsonObject, mergePatch, textAt } from "./json.ts";
import type { Kubelet } from "./kubelet.ts";
import { isUpgrade, type PortForwardOptions, servePortForward } from "./port_forward.ts";
import { badRequest, noSuchResource, Refusal, unauthorized } from "./refusal.ts";
import { type ObjectRoute, type Route, routeOf, SERVED, served, type ServedResource } from "./resources.ts";
import { readSelectors, type Selector } from "./selectors.ts";
import { type Change, deleteGently, type Place, type Store, type StoredObject } from "./store.ts";

/** What an answer is made from. */
export interface ApiSeams extends PortForwardOptions {
  readonly store: Store;
  readonly faults: Faults;
  readonly kubelet: Kubelet;
  /** Whether nobody is known any more: expired certificates, say. */
  readonly knowsNobody: () => boolean;
  /** Whether a WebSocket needs the verb `create` beside `get`, as from 1.35 on. */
  readonly webSocketNeedsCreate: boolean;
  /** Whether exec can pass on the end of an input, as from 1.30 on. */
  readonly knowsV5: boolean;
  /** Aborts when the cluster ends. */
  readonly signal: AbortSignal;
}

/**
 * Answers one request.
 *
 * @returns whether the connection can carry another one
 */
export async function answerRequest(request: Request, connection: Connection, seams: ApiSeams): Promise<boolean> {
  const route = routeOf(request.url.pathname);
  let cut = false;
  try {
    const user = connection.user;
    if (user === undefined || seams.knowsNobody()) throw unauthorized();
    if (route.kind !== "objects") {
      await sendAnswer(connection, fixedAnswer(route));
      return true;
    }
    const asked = askedFor(request, route, user);
    const fault = await seams.faults.meet(asked);
    if (fault?.kind === "cut") return false;
    if (fault?.kind === "page") {
      await sendAnswer(connection, { status: fault.status, body: fault.text });
      return true;
    }
    if (fault?.kind === "stall") {
      await new Promise<void>((resolve) => connection.whenGone(resolve));
      return false;
    }
    cut = fault?.kind === "cut-answer";
    if (fault?.kind === "nonsense" && asked.verb === "get") {
      await sendAnswer(connection, { status: 200, body: "nonsense" }, "all");
      return true;
    }
    if (route.subresource === "portforward" || route.subresource === "exec") {
      return await openStream(request, route, asked, connection, seams);
    }
    if (asked.verb === "watch") return await watch(request, route, connection, cut, seams);
    const answer = act(request, route, asked, seams);
    const told = fault?.kind === "nonsense" ? { ...answer, body: "nonsense" } : answer;
    await sendAnswer(connection, told, cut ? "half" : "all");
    return !cut;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const headers: Record<string, string> = error.retryAfter === undefined
      ? {}
      : { "Retry-After": String(error.retryAfter) };
    await sendAnswer(connection, { status: error.status, headers, body: error.toStatus() }, cut ? "half" : "all");
    return !cut;
  }
}

function askedFor({ method, url: { searchParams } }: Request, route: ObjectRoute, user: string): Asked {
  const one = route.name !== undefined;
  const verbs: Record<string, string> = { POST: "create", PATCH: "patch", PUT: "update", DELETE: "delete" };
  const reading = one ? "get" : searchParams.get("watch") === "true" ? "watch" : "list";
  return { user, verb: verbs[method] ?? reading, route, dryRun: searchParams.get("dryRun") === "All" };
}

function act(request: Request, route: ObjectRoute, asked: Asked, { store, kubelet }: ApiSeams): Answer {
  const { resource, namespace, name, subresource } = route;
  const { searchParams } = request.url;
  if (name === undefined) {
    if (asked.verb === "create") {
      const object = readObject(request, resource);
      return {
        status: 201,
        body: store.create({ resource, namespace }, withDefaults(resource, object), asked) as Json,
      };
    }
    return { status: 200, body: listPage(route, searchParams, store) };
  }
  const place: Place = { resource, namespace, name };
  if (subresource === "log") {
    return { status: 200, body: kubelet.logOf(store.get(place), searchParams) };
  }
  if (subresource !== undefined) throw noSuchResource();
  switch (asked.verb) {
    case "get":
      return { status: 200, body: store.get(place) };
    case "patch": {
      if (request.headers.get("content-type") !== "application/merge-patch+json") {
        throw new Refusal(415, "the fake cluster knows merge patches alone", { reason: "UnsupportedMediaType" });
      }
      const body = readJson(request);
      return { status: 200, body: store.update(place, (before) => mergePatch(before, body) as JsonObject, asked) };
    }
    case "update": {
      const body = readObject(request, resource);
      return { status: 200, body: store.update(place, () => body, asked) };
    }
    case "delete":
      return { status: 200, body: deletion(request, place, asked, store) };
    default:
      throw noSuchResource();
  }
}

function deletion(request: Request, place: Place, { dryRun }: Asked, store: Store): Json {
  const options = request.body === "" ? {} : readJson(request);
  const preconditions = isRecord(options) ? options["preconditions"] : undefined;
  const uid = textAt(preconditions, "uid");
  const resourceVersion = textAt(preconditions, "resourceVersion");
  const conditions = { ...(uid !== "" && { uid }), ...(resourceVersion !== "" && { resourceVersion }) };
  const object = dryRun ? store.get(place) : deleteGently(store, place, conditions);
  if (["Pod", "Service"].includes(place.resource.kind)) return object;
  const { group, plural } = place.resource;
  const details = { name: place.name, ...(group !== "" && { group }), kind: plural, uid: object.metadata.uid };
  return { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", details };
}

function readJson({ body }: Request): Json {
  try {
    return JSON.parse(body);
  } catch {
    throw badRequest("the body is no JSON");
  }
}

function readObject(request: Request, { kind }: ServedResource): JsonObject {
  const object = readJson(request);
  const found = textAt(object, "kind");
  if (!isRecord(object) || found !== kind) {
    throw badRequest(
      `${found} in version "v1" cannot be handled as a ${kind}: converting (v1.${found}) to (core.${kind}): unknown ` +
        "conversion",
    );
  }
  return object;
}

/** What the server fills in, as far as anybody looks at it. */
function withDefaults({ kind }: ServedResource, object: JsonObject): JsonObject {
  if (kind === "Service") {
    const clusterIP = `10.96.0.${1 + Math.floor(Math.random() * 250)}`;
    return mergePatch({ spec: { type: "ClusterIP", clusterIP } }, object) as JsonObject;
  }
  if (kind === "Pod") return mergePatch({ status: { phase: "Pending" } }, object) as JsonObject;
  if (kind === "Deployment") return mergePatch({ spec: { replicas: 1 } }, object) as JsonObject;
  return object;
}

function listPage(route: ObjectRoute, query: URLSearchParams, store: Store): Json {
  const { resource, namespace } = route;
  const all = store.list({ resource, namespace }, readSelectors(query, resource.plural));
  const limit = Number(query.get("limit") ?? 0) || Infinity;
  const start = readContinue(query.get("continue") ?? "");
  const items = all.slice(start, start + limit);
  const left = all.length - start - items.length;
  return {
    kind: `${resource.kind}List`,
    apiVersion: resource.group === "" ? resource.version : `${resource.group}/${resource.version}`,
    metadata: {
      resourceVersion: String(store.version),
      ...(left > 0 && { continue: btoa(String(start + items.length)), remainingItemCount: left }),
    },
    // As the server does: the list says what they are, so they do not.
    items: items.map(({ kind: _kind, apiVersion: _apiVersion, ...rest }) => rest),
  };
}

function readContinue(token: string): number {
  if (token === "") return 0;
  try {
    const start = Number(atob(token));
    if (Number.isInteger(start)) return start;
  } catch {
    // no base64: no token of ours
  }
  throw badRequest("invalid continue token: continue key is not valid");
}

async function watch(
  { url: { searchParams } }: Request,
  { resource, namespace }: ObjectRoute,
  connection: Connection,
  cut: boolean,
  { store, signal }: ApiSeams,
): Promise<boolean> {
  const selects = readSelectors(searchParams, resource.plural);
  const inside = (object: StoredObject) => namespace === undefined || object.metadata["namespace"] === namespace;
  const meant: Selector = (object) => inside(object as StoredObject) && selects(object);
  const ending = new AbortController();
  connection.whenGone(() => ending.abort());
  const seconds = Number(searchParams.get("timeoutSeconds") ?? 0);
  const timer = seconds > 0 ? setTimeout(() => ending.abort(), seconds * 1000) : undefined;
  const given = Number(searchParams.get("resourceVersion") ?? 0);
  const bookmarks = searchParams.get("allowWatchBookmarks") === "true";
  const stream = await startChunked(connection);
  const tell = (type: string, object: Json) => stream.send(JSON.stringify({ type, object }) + "\n");
  try {
    const from = given === 0 ? store.version : given;
    if (given === 0) {
      for (const object of store.list({ resource, namespace }, selects)) await tell("ADDED", object);
      if (bookmarks) await tell("BOOKMARK", bookmark(resource, from, { "k8s.io/initial-events-end": "true" }));
    }
    for await (const change of store.follow(from, AbortSignal.any([signal, ending.signal]))) {
      const event = change.resource === resource ? eventOf(change, meant) : undefined;
      if (event !== undefined) await tell(event.type, event.object);
      if (cut) return false;
    }
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    await tell("ERROR", error.toStatus()); // a watch has begun with 200 when it finds its version too old
  } finally {
    clearTimeout(timer);
  }
  if (connection.gone) return false;
  await stream.end();
  return true;
}

/** A change as whoever watches a selection sees it: an object that is no longer selected is gone for them. */
function eventOf(
  { before, after, deleted }: Change,
  meant: Selector,
): { type: string; object: StoredObject } | undefined {
  const was = before !== undefined && meant(before);
  const is = !deleted && meant(after);
  if (is) return { type: was ? "MODIFIED" : "ADDED", object: after };
  if (!was || before === undefined) return undefined;
  const { resourceVersion } = after.metadata;
  return { type: "DELETED", object: { ...before, metadata: { ...before.metadata, resourceVersion } } };
}

function bookmark(resource: ServedResource, version: number, annotations: JsonObject): Json {
  const apiVersion = resource.group === "" ? resource.version : `${resource.group}/${resource.version}`;
  return { kind: resource.kind, apiVersion, metadata: { resourceVersion: String(version), annotations } };
}

/** A port-forward or a command in a pod. */
async function openStream(
  request: Request,
  route: ObjectRoute,
  asked: Asked,
  connection: Connection,
  seams: ApiSeams,
): Promise<boolean> {
  const { store, faults, kubelet, webSocketNeedsCreate } = seams;
  const query = request.url.searchParams;
  const ports = readPorts(query);
  const webSocket = isUpgrade(request.headers);
  if (webSocket && webSocketNeedsCreate) await faults.meet({ ...asked, verb: "create" });
  const pod = store.get({ ...route, name: route.name ?? "" });
  if (textAt(pod, "spec", "nodeName") === "") {
    throw badRequest(`pod ${pod.metadata.name} does not have a host assigned`);
  }
  if (!webSocket) throw badRequest("Upgrade request required");
  const network = kubelet.networkOf(pod);
  if (route.subresource === "exec") {
    await serveExec(connection, request.headers, query.getAll("command"), network, seams);
  } else {
    await servePortForward(connection, request.headers, ports, network, seams);
  }
  return false;
}

function readPorts(query: URLSearchParams): number[] {
  return query.getAll("ports").flatMap((list) => list.split(",")).map((text) => {
    const port = /^\d+$/.test(text) ? Number(text) : NaN;
    if (port <= 65535) return port;
    const why = Number.isNaN(port) ? "invalid syntax" : "value out of range";
    throw badRequest(`cannot convert to []int32: strconv.ParseUint: parsing "${text}": ${why}`);
  });
}

function fixedAnswer(route: Exclude<Route, ObjectRoute>): Answer {
  switch (route.kind) {
    case "version":
      return { status: 200, body: { major: "1", minor: "34", gitVersion: "v1.34.4", platform: "linux/amd64" } };
    case "core-versions":
      return { status: 200, body: { kind: "APIVersions", versions: ["v1"] } };
    case "groups":
      return { status: 200, body: { kind: "APIGroupList", apiVersion: "v1", groups: groups() } };
    case "resources":
      return { status: 200, body: resourceList(route.group, route.version) };
    case "unknown-resource":
      throw noSuchResource();
    case "unknown":
      return { status: 404, body: "404 page not found\n" };
  }
}

function groups(): Json[] {
  return [...new Set(SERVED.map(({ group }) => group))].filter((group) => group !== "").map((name) => {
    const version = { groupVersion: `${name}/v1`, version: "v1" };
    return { name, versions: [version], preferredVersion: version };
  });
}

function resourceList(group: string, version: string): Json {
  const verbs = ["create", "delete", "get", "list", "patch", "update", "watch"];
  const resources: Json[] = SERVED.filter((resource) => resource.group === group && resource.version === version)
    .map(({ plural, kind, namespaced }) => ({
      name: plural,
      singularName: kind.toLowerCase(),
      namespaced,
      kind,
      verbs,
    }));
  if (group === "") {
    for (
      const [name, kind, verbs] of [
        ["pods/exec", "PodExecOptions", ["create", "get"]],
        ["pods/log", "Pod", ["get"]],
        ["pods/portforward", "PodPortForwardOptions", ["create", "get"]],
      ] as const
    ) {
      resources.push({ name, singularName: "", namespaced: served("pods").namespaced, kind, verbs: [...verbs] });
    }
  }
  const groupVersion = group === "" ? version : `${group}/${version}`;
  return { kind: "APIResourceList", apiVersion: "v1", groupVersion, resources };
}
