/**
 * What a session asks of the API server, as a table: `--plan` shows the rows of one session, `docs/rbac.md` all of
 * them, and a test takes each away from a Role and sees the session refuse with a sentence.
 *
 * @module
 */

/** When a right is used. */
export type Occasion = "always" | "made" | "existing" | "service" | "swap" | "serviceaccount" | "optional";

/** One right in a namespace, and what it is for. */
export interface Right {
  readonly group: string;
  readonly resource: string;
  readonly verbs: readonly string[];
  readonly why: string;
  readonly when: Occasion;
  /** The kind of workload that it is for; every kind when absent. */
  readonly kind?: string;
  /** A subresource whose right, with the same verbs, does in its place. */
  readonly instead?: string;
}

const SCALABLE = [
  ["deployment", "deployments"],
  ["statefulset", "statefulsets"],
  ["replicaset", "replicasets"],
  ["daemonset", "daemonsets"],
] as const;

/** All rights. */
export const RIGHTS: readonly Right[] = [
  {
    group: "",
    resource: "configmaps",
    verbs: ["get", "create", "patch", "delete"],
    why: "carry the agent's program; hold the claim on a workload",
    when: "made",
  },
  {
    group: "apps",
    resource: "deployments",
    verbs: ["create", "delete", "get", "list", "watch"],
    why: "make the proxy, and see why it does not start",
    when: "made",
  },
  {
    group: "apps",
    resource: "deployments",
    verbs: ["get", "list", "watch"],
    why: "find the proxy that is there",
    when: "existing",
  },
  { group: "", resource: "secrets", verbs: ["get"], why: "have the key that its agent asks for", when: "existing" },
  { group: "", resource: "pods", verbs: ["get", "list", "watch"], why: "see the proxy's pod run", when: "always" },
  {
    group: "",
    resource: "pods/portforward",
    verbs: ["get", "create"],
    why: "reach the agent in its pod",
    when: "always",
    instead: "exec",
  },
  {
    group: "",
    resource: "services",
    verbs: ["create", "delete", "get"],
    why: "let the cluster find the exposed ports by a name",
    when: "service",
  },
  { group: "", resource: "services", verbs: ["list"], why: "see which Services find the workload", when: "swap" },
  {
    group: "",
    resource: "pods",
    verbs: ["patch"],
    why: "let those Services find the proxy when it serves",
    when: "swap",
  },
  ...SCALABLE.map(([kind, resource]): Right => ({
    group: "apps",
    resource,
    verbs: ["get", "patch"],
    why: `take the pods of a ${kind} away and give them back`,
    when: "swap",
    kind,
  })),
  {
    group: "",
    resource: "pods",
    verbs: ["get", "create", "delete"],
    why: "delete a bare Pod and make it again",
    when: "swap",
    kind: "pod",
  },
  { group: "", resource: "serviceaccounts", verbs: ["get"], why: "see that it is there", when: "serviceaccount" },
  {
    group: "",
    resource: "pods",
    verbs: ["create"],
    why: "try (dry run) whether the quota has room for the proxy beside the original",
    when: "optional",
  },
  {
    group: "",
    resource: "configmaps",
    verbs: ["list", "watch"],
    why: "hear that another session takes the workload over (--take-over)",
    when: "optional",
  },
  {
    group: "",
    resource: "pods/exec",
    verbs: ["get", "create"],
    why: "reach the agent where port-forwards are refused; ask a container for its user and variables",
    when: "optional",
  },
  {
    group: "",
    resource: "pods/log",
    verbs: ["get"],
    why: "show the agent's last lines when it does not stay up",
    when: "optional",
  },
  {
    group: "",
    resource: "events",
    verbs: ["list", "watch"],
    why: "tell why a pod is late",
    when: "optional",
  },
  {
    group: "",
    resource: "persistentvolumeclaims",
    verbs: ["get"],
    why: "see whether a volume can be used by two pods",
    when: "optional",
  },
  {
    group: "",
    resource: "services",
    verbs: ["create", "list", "watch"],
    why: "see their range (create: by dry runs alone) and new ones, for --method vpn-tcp",
    when: "optional",
  },
  {
    group: "autoscaling",
    resource: "horizontalpodautoscalers",
    verbs: ["list"],
    why: "tell that one stands still meanwhile",
    when: "optional",
  },
  {
    group: "keda.sh",
    resource: "scaledobjects",
    verbs: ["list"],
    why: "tell that one may scale the original up meanwhile",
    when: "optional",
  },
];

/** What a session is about, as far as rights go. */
export interface Needs {
  /** The kind of the workload that is swapped. */
  readonly swaps?: string;
  /** Whether the proxy is there already. @default {false} */
  readonly isThere?: boolean;
  readonly hasService: boolean;
  readonly hasServiceAccount: boolean;
}

/** The rights that a session cannot do without. */
export function rightsFor({ swaps, isThere = false, hasService, hasServiceAccount }: Needs): Right[] {
  return RIGHTS.filter(({ when, kind }) => {
    switch (when) {
      case "always":
        return true;
      case "made":
        return !isThere;
      case "existing":
        return isThere;
      case "service":
        return hasService;
      case "swap":
        return swaps !== undefined && (kind === undefined || kind === swaps);
      case "serviceaccount":
        return hasServiceAccount;
      case "optional":
        return false;
    }
  });
}

/** The rights that a session can do without: it then tells less. */
export function optionalRights(): Right[] {
  return RIGHTS.filter(({ when }) => when === "optional");
}

/** Rights as the rules of a Role, each resource once. */
export function rulesOf(rights: readonly Right[]): { apiGroups: string[]; resources: string[]; verbs: string[] }[] {
  const byResource = Map.groupBy(rights, ({ group, resource }) => `${group}/${resource}`);
  return [...byResource.values()].flatMap((same) => {
    const [first] = same;
    if (first === undefined) return [];
    const verbs = [...new Set(same.flatMap((right) => right.verbs))].sort();
    return [{ apiGroups: [first.group], resources: [first.resource], verbs }];
  });
}
