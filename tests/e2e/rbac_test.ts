/** The Role of docs/rbac.md, proved: with it everything works, and without any one rule of it a sentence says what lacks. */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { load } from "js-yaml";
import * as z from "zod/mini";
import { deployments, namespaces, pods, type Resource, services, untyped } from "@/kube/mod.ts";
import { type Cluster, clusterTest, makeNamespace, run, withToken } from "./harness.ts";
import { makeUser } from "./users.ts";
import { templateOf } from "./swap_harness.ts";

const Role = z.object({
  rules: z.array(
    z.object({ apiGroups: z.array(z.string()), resources: z.array(z.string()), verbs: z.array(z.string()) }),
  ),
});
type Rule = z.infer<typeof Role>["rules"][number];

/** The rules of the page's Role for new proxies, or of that for swaps. */
async function rulesOfDocs(which: "new" | "swap" = "new"): Promise<Rule[]> {
  const page = await Deno.readTextFile(new URL("../../docs/rbac.md", import.meta.url));
  const roles = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, yaml = ""]) => z.parse(Role, load(yaml)).rules);
  return roles[which === "new" ? 0 : 1] ?? [];
}

clusterTest(
  "the Role of docs/rbac.md is enough, and each right of it that a session uses is told when it lacks",
  async (cluster) => {
    const rules = await rulesOfDocs();
    await using space = await makeSpace(cluster);
    const url = `http://helloworld.${cluster.namespace}`;
    const words = ["--namespace", space.name, "--expose", "8096", "--run", "curl", "-sS", url];

    await space.allow(rules);
    const ended = await run(space.cluster, ...words);
    equals(ended.code, 0, ended.stderr);
    match(ended.stdout, /Hello, world!/);

    for (const [resource, verb] of USED) {
      await space.allow(without(rules, resource, verb));
      const { code, stderr } = await run(space.cluster, ...words);
      equals(code, 255, `without ${verb} ${resource}: ${stderr}`);
      const [plain, sub] = resource.split("/");
      const named = sub ? `${plain}/${sub}` : plain;
      ok(stderr.includes(`cannot ${verb} resource "${named}"`), `without ${verb} ${resource}: ${stderr}`);
      match(stderr, /^T: (Error|Cleanup failed): /m);
    }
  },
);

clusterTest(
  "pods/exec does in place of pods/portforward, and without either the rule is told",
  async (cluster) => {
    const rules = await rulesOfDocs();
    await using space = await makeSpace(cluster);
    const url = `http://helloworld.${cluster.namespace}`;
    const words = ["--namespace", space.name, "--expose", "8096", "--run", "curl", "-sS", url];
    const others = rules.filter(({ resources }) => !resources.includes("pods/portforward"));

    await space.allow([...others, { apiGroups: [""], resources: ["pods/exec"], verbs: ["get", "create"] }]);
    const ended = await run(space.cluster, ...words);
    equals(ended.code, 0, ended.stderr);
    match(ended.stdout, /Hello, world!/);

    await space.allow(others);
    const refused = await run(space.cluster, ...words);
    equals(refused.code, 255, refused.stderr);
    match(refused.stderr, /cannot (get|create) resource "pods\/portforward"/);
    match(refused.stderr, /The rule that is missing: .*"pods\/portforward"\], verbs: \["get","create"\]/);
  },
);

clusterTest(
  "the Role of docs/rbac.md for swaps is enough, and each right of it that a swap uses is told when it lacks",
  async (cluster) => {
    const rules = await rulesOfDocs("swap");
    await using space = await makeSpace(cluster);
    await cluster.kube.create(deployments, {
      metadata: { name: "web", namespace: space.name },
      spec: { replicas: 1, selector: { matchLabels: { app: "web" } }, template: templateOf("web") },
    });
    await cluster.kube.create(services, {
      metadata: { name: "web", namespace: space.name },
      spec: { selector: { app: "web" }, ports: [{ port: 80 }] },
    });
    const replicas = async () => {
      return (await cluster.kube.get(deployments, { namespace: space.name, name: "web" })).spec.replicas;
    };
    const words = ["--namespace", space.name, "--swap-deployment", "web", "--run", "true"];

    await space.allow(rules);
    const ended = await run(space.cluster, ...words);
    equals([ended.code, await replicas()], [0, 1], ended.stderr);
    match(
      await Deno.readTextFile(`${space.cluster.directory}/telepresence.log`),
      /The variables of the original's image are not known: .*pods\/exec/,
    );

    for (const [resource, verb] of USED_BY_SWAPS) {
      await space.allow(without(rules, resource, verb));
      const { code, stderr } = await run(space.cluster, ...words);
      equals([code, await replicas()], [255, 1], `without ${verb} ${resource}: ${stderr}`);
      ok(stderr.includes(`cannot ${verb} resource "${resource}"`), `without ${verb} ${resource}: ${stderr}`);
    }
  },
);

/** Rights without which a swap ends with 255, beside those of every session. */
const USED_BY_SWAPS: readonly (readonly [string, string])[] = [
  ["configmaps", "get"],
  ["services", "list"],
  ["pods", "patch"],
  ["deployments", "get"],
  ["deployments", "patch"],
];

/** Rights without which a session ends with 255. What it could not delete again it does not make. */
const USED: readonly (readonly [string, string])[] = [
  ["configmaps", "create"],
  ["configmaps", "patch"],
  ["configmaps", "delete"],
  ["deployments", "create"],
  ["deployments", "watch"],
  ["deployments", "delete"],
  ["services", "create"],
  ["services", "delete"],
  ["pods", "list"],
  ["pods", "watch"],
];

function without(rules: readonly Rule[], resource: string, verb: string): Rule[] {
  return rules.map((rule) =>
    rule.resources.includes(resource) ? { ...rule, verbs: rule.verbs.filter((one) => one !== verb) } : rule
  ).filter(({ verbs }) => verbs.length > 0);
}

interface Space extends AsyncDisposable {
  readonly name: string;
  /** The cluster as its service account `user` sees it. */
  readonly cluster: Cluster;
  /** Gives that account these rights in the namespace, and no others. */
  allow(rules: readonly Rule[]): Promise<void>;
}

const rbac = (plural: string, kind: string) => untyped({ ...pods, group: "rbac.authorization.k8s.io", plural, kind });

async function makeSpace(cluster: Cluster): Promise<Space> {
  const { kube } = cluster;
  await using stack = new AsyncDisposableStack();
  const name = await makeNamespace(cluster, "e2e-rbac");
  stack.defer(() => kube.delete(namespaces, { name }));
  const token = await makeUser(cluster, name);
  await kube.create(rbac("rolebindings", "RoleBinding"), {
    metadata: { name: "user", namespace: name },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "user" },
    subjects: [{ kind: "ServiceAccount", name: "user", namespace: name }],
  });
  const roles: Resource<unknown> = rbac("roles", "Role");
  await kube.create(roles, { metadata: { name: "user", namespace: name }, rules: [] });
  const owned = stack.move();
  return {
    name,
    cluster: await withToken(cluster, token),
    async allow(rules) {
      await kube.patch(roles, { namespace: name, name: "user" }, { type: "merge", body: { rules } });
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
