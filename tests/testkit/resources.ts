/** A resource that the fake serves. */
export interface ServedResource {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

/** More than the product makes: a proof that nothing is left asks for everything. */
export const SERVED: readonly ServedResource[] = [
  core("configmaps", "ConfigMap"),
  core("endpoints", "Endpoints"),
  core("events", "Event"),
  core("persistentvolumeclaims", "PersistentVolumeClaim"),
  core("pods", "Pod"),
  core("secrets", "Secret"),
  core("serviceaccounts", "ServiceAccount"),
  core("services", "Service"),
  { group: "", version: "v1", plural: "namespaces", kind: "Namespace", namespaced: false },
  { group: "", version: "v1", plural: "nodes", kind: "Node", namespaced: false },
  grouped("apps", "daemonsets", "DaemonSet"),
  grouped("apps", "deployments", "Deployment"),
  grouped("apps", "replicasets", "ReplicaSet"),
  grouped("apps", "statefulsets", "StatefulSet"),
  grouped("batch", "jobs", "Job"),
  grouped("coordination.k8s.io", "leases", "Lease"),
  grouped("networking.k8s.io", "networkpolicies", "NetworkPolicy"),
];

function core(plural: string, kind: string): ServedResource {
  return { group: "", version: "v1", plural, kind, namespaced: true };
}

function grouped(group: string, plural: string, kind: string): ServedResource {
  return { group, version: "v1", plural, kind, namespaced: true };
}

/** The served resource of this name. */
export function served(plural: string): ServedResource {
  const found = SERVED.find((resource) => resource.plural === plural);
  if (found === undefined) throw new TypeError(`The fake cluster serves no "${plural}"`);
  return found;
}

/** What a path means. */
export type Route =
  | { readonly kind: "version" }
  | { readonly kind: "core-versions" }
  | { readonly kind: "groups" }
  | { readonly kind: "resources"; readonly group: string; readonly version: string }
  | ObjectRoute
  /** A path under a group that is served, for a resource that is not. */
  | { readonly kind: "unknown-resource" }
  /** Anything else: the real server's answer is a line of text. */
  | { readonly kind: "unknown" };

/** A path to objects of one resource, or to one of them. */
export interface ObjectRoute {
  readonly kind: "objects";
  readonly resource: ServedResource;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
}

/** Reads a path. */
export function routeOf(pathname: string): Route {
  const parts = pathname.split("/").filter((part) => part !== "").map(decodeURIComponent);
  const [root, ...rest] = parts;
  if (root === "version") return { kind: "version" };
  if (root === "api") {
    if (rest.length === 0) return { kind: "core-versions" };
    const [version = "", ...path] = rest;
    return version === "v1" ? inGroup("", version, path) : { kind: "unknown" };
  }
  if (root !== "apis") return { kind: "unknown" };
  if (rest.length === 0) return { kind: "groups" };
  const [group = "", version = "", ...path] = rest;
  return SERVED.some((resource) => resource.group === group && resource.version === version)
    ? inGroup(group, version, path)
    : { kind: "unknown" };
}

function inGroup(group: string, version: string, path: readonly string[]): Route {
  if (path.length === 0) return { kind: "resources", group, version };
  const inside = path[0] === "namespaces" && path.length > 2 && !["status", "finalize"].includes(path[2] ?? "");
  const namespace = inside ? path[1] : undefined;
  const [plural, name, subresource] = inside ? path.slice(2) : path;
  const resource = SERVED.find((each) => each.group === group && each.version === version && each.plural === plural);
  if (resource === undefined) return { kind: "unknown-resource" };
  return { kind: "objects", resource, namespace, name, subresource };
}
