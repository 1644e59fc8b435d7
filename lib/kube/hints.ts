import type { ClusterConfig } from "./cluster_config.ts";

/** What a request needs a rule for, in the words of RBAC. */
export interface Access {
  readonly verbs: readonly [string, ...string[]];
  /** API group; empty for the core group. */
  readonly group: string;
  /** Plural, with a subresource where one is meant: `pods/portforward`. */
  readonly resource: string;
  /** Absent where the whole cluster is meant. */
  readonly namespace?: string | undefined;
}

/** Next steps after a refusal: whom to ask for what, in commands that can be pasted. */
export function refusalHints(status: number, access: Access | undefined, cluster: ClusterConfig): string[] {
  if (status === 401) {
    return [
      `Look at the credentials of the user "${cluster.userName}" in the kubeconfig: they are wrong or have expired`,
      "Try: kubectl auth whoami",
    ];
  }
  if (status !== 403 || access === undefined) return [];
  const { verbs, group, resource, namespace } = access;
  const [plural = "", subresource] = resource.split("/");
  const scope = namespace === undefined ? "" : ` --namespace ${namespace}`;
  const role = namespace === undefined ? "clusterrole" : "role";
  const named = group === "" ? resource : `${plural}.${group}${subresource === undefined ? "" : `/${subresource}`}`;
  return [
    `The rule that is missing: {apiGroups: ["${group}"], resources: ["${resource}"], verbs: ${JSON.stringify(verbs)}}`,
    `Who may grant it: kubectl create ${role} NAME --verb=${verbs.join(",")} --resource=${named}${scope}`,
    `To check: kubectl auth can-i ${verbs[0]} ${group === "" ? plural : `${plural}.${group}`}${
      subresource === undefined ? "" : ` --subresource=${subresource}`
    }${scope}`,
  ];
}
