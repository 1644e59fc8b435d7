/**
 * Users of the cluster who have no more rights than a test gives them.
 *
 * @module
 */
import { deepStrictEqual as equals } from "node:assert/strict";
import { load } from "js-yaml";
import * as z from "zod/mini";
import { namespaces, pods, type Resource, untyped } from "@/kube/mod.ts";
import { type Cluster, makeNamespace, withToken } from "./harness.ts";

const core = (plural: string, kind: string) => untyped({ ...pods, plural, kind });
const rbac = (plural: string, kind: string) => untyped({ ...pods, group: "rbac.authorization.k8s.io", plural, kind });

/** Makes a user of a namespace, who may do nothing there. @returns its token */
export async function makeUser({ kube }: Cluster, namespace: string): Promise<string> {
  await kube.create(core("serviceaccounts", "ServiceAccount"), { metadata: { name: "user", namespace } });
  const made = await kube.create(core("serviceaccounts/user/token", "TokenRequest"), {
    apiVersion: "authentication.k8s.io/v1",
    metadata: { name: "user", namespace },
    spec: {},
  });
  return z.parse(z.object({ token: z.string() }), made["status"]).token;
}

const roleSchema = z.object({
  rules: z.array(
    z.object({ apiGroups: z.array(z.string()), resources: z.array(z.string()), verbs: z.array(z.string()) }),
  ),
});
/** A rule of a Role. */
export type Rule = z.infer<typeof roleSchema>["rules"][number];

/** The Roles of docs/rbac.md, in its order. */
const ROLES = ["new", "swap", "existing"] as const;
/** One of them. */
export type Role = (typeof ROLES)[number];

/** The rules of one of the page's Roles. */
export async function rulesOfDocs(which: Role = "new"): Promise<Rule[]> {
  const page = await Deno.readTextFile(new URL("../../docs/rbac.md", import.meta.url));
  const yamls = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)];
  const roles = yamls.map(([, yaml = ""]) => z.parse(roleSchema, load(yaml)).rules);
  equals(roles.length, ROLES.length);
  return roles[ROLES.indexOf(which)] ?? [];
}

/** A namespace with a user. Disposing it deletes it. */
export interface Space extends AsyncDisposable {
  readonly name: string;
  /** The cluster as its service account `user` sees it. */
  readonly cluster: Cluster;
  /** Gives that account these rights in the namespace, and no others. */
  allow(rules: readonly Rule[]): Promise<void>;
}

/** Makes a namespace, and a user in it who may do nothing yet. */
export async function makeSpace(cluster: Cluster): Promise<Space> {
  const { kube } = cluster;
  await using stack = new AsyncDisposableStack();
  const name = await makeNamespace(cluster, "e2e-rbac");
  stack.defer(() => kube.delete(namespaces, { name }));
  const own = await addUser(cluster, name);
  const owned = stack.move();
  return { name, ...own, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Adds a user to a namespace that is there. */
export async function addUser(cluster: Cluster, namespace: string): Promise<Pick<Space, "cluster" | "allow">> {
  const { kube } = cluster;
  const token = await makeUser(cluster, namespace);
  await kube.create(rbac("rolebindings", "RoleBinding"), {
    metadata: { name: "user", namespace },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "user" },
    subjects: [{ kind: "ServiceAccount", name: "user", namespace }],
  });
  const roles: Resource<unknown> = rbac("roles", "Role");
  await kube.create(roles, { metadata: { name: "user", namespace }, rules: [] });
  return {
    cluster: await withToken(cluster, token),
    async allow(rules) {
      await kube.patch(roles, { namespace, name: "user" }, { type: "merge", body: { rules } });
    },
  };
}
