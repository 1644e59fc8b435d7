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

/** A refusal, as far as hints depend on it. */
export interface Refused {
  readonly status: number;
  /** The server's own words. */
  readonly words: string;
}

/**
 * How an API server words what its authorizers do not allow. Other things are forbidden too (a quota, a Pod Security
 * Standard, an admission webhook), and no rule helps against those.
 * {@link https://github.com/kubernetes/apiserver/blob/master/pkg/endpoints/handlers/responsewriters/errors.go}
 */
const UNAUTHORIZED =
  /User "[^]*" cannot (\S+) resource "([^"]+)" in API group "([^"]*)" (?:at the cluster scope|in the namespace "([^"]+)")/;

/** Next steps after a refusal: whom to ask for what, in commands that can be pasted. */
export function refusalHints(
  { status, words }: Refused,
  access: Access | undefined,
  { userName }: ClusterConfig,
): string[] {
  if (status === 401) {
    return [
      `Look at the credentials of the user "${userName}" in the kubeconfig: they are wrong or have expired`,
      "Try: kubectl auth whoami",
    ];
  }
  const missing = status === 403 ? missingAccess(words, access) : undefined;
  return missing === undefined ? [] : ruleHints(missing);
}

/** What lacks by the server's words; with all that the request takes, so that nobody has to ask twice. */
function missingAccess(words: string, asked: Access | undefined): Access | undefined {
  const [, verb, resource = "", group = "", namespace] = UNAUTHORIZED.exec(words) ?? [];
  if (verb === undefined) return undefined;
  const same = asked?.group === group && asked.resource === resource && asked.verbs.includes(verb);
  return { verbs: same ? asked.verbs : [verb], group, resource, namespace };
}

function ruleHints({ verbs, group, resource, namespace }: Access): string[] {
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
