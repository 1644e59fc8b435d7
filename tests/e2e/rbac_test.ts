/** The Role of docs/rbac.md, proved: with it everything works, and without any one rule of it a sentence says what lacks. */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import {
  configMaps,
  daemonSets,
  deployments,
  type NewObject,
  pods,
  replicaSets,
  services,
  statefulSets,
} from "@/kube/mod.ts";
import { clusterTest, run, until } from "./harness.ts";
import { install } from "./install.ts";
import { HELLO, templateOf } from "./swap_harness.ts";
import { makeSpace, type Role, type Rule, rulesOfDocs } from "./users.ts";

type NamedIn = NewObject["metadata"];

/** Sessions beside those that are looked at verb by verb, each with the Role that the page has for it. */
const SESSIONS: readonly {
  readonly name: string;
  readonly role: Role;
  /** The kind of workload that the page adds rights for. */
  readonly kind?: string;
  /** Whether the page adds the right for `--serviceaccount`. */
  readonly account?: boolean;
  readonly words: readonly string[];
}[] = [
  { name: "--serviceaccount", role: "new", account: true, words: ["--expose", "8097", "--serviceaccount", "default"] },
  ...(["statefulset", "replicaset", "daemonset", "pod"] as const).map((kind) => (
    { name: `--swap-deployment ${kind}/web`, role: "swap", kind, words: ["-s", `${kind}/web`] } as const
  )),
  { name: "--deployment proxy", role: "existing", words: ["-d", "proxy"] },
];

/** The rules for a session: the page's Role, and what it says is needed in addition. */
async function rulesFor({ role, kind, account }: (typeof SESSIONS)[number]): Promise<Rule[]> {
  const page = await Deno.readTextFile(new URL("../../docs/rbac.md", import.meta.url));
  const rules = await rulesOfDocs(role);
  // Deployments are the proxy's own: without a Deployment that is swapped they need not be changed.
  const own = kind === undefined ? rules : without(rules, "deployments", "patch");
  const [, added = ""] = kind === undefined ? [] : new RegExp(`^- ${kind}: (.*)$`, "m").exec(page) ?? [];
  const more = [...added.matchAll(/`(\w+)` ([\w, ]+)/g)].map(([, resource = "", verbs = ""]) => ({
    apiGroups: [resource === "pods" ? "" : "apps"],
    resources: [resource],
    verbs: verbs.split(", "),
  }));
  const accounts = { apiGroups: [""], resources: ["serviceaccounts"], verbs: ["get"] };
  return merged([...own, ...more, ...(account ? [accounts] : [])]);
}

/** Each resource in one rule. */
function merged(rules: readonly Rule[]): Rule[] {
  const byResource = Map.groupBy(rules, ({ resources: [resource] }) => resource);
  return [...byResource.values()].flatMap(([first, ...others]) => {
    if (first === undefined) return [];
    return [{ ...first, verbs: [...new Set([first, ...others].flatMap(({ verbs }) => verbs))] }];
  });
}

for (const session of SESSIONS) {
  clusterTest(
    `the least Role for ${session.name} is enough; without any one rule a sentence says which`,
    async (cluster) => {
      const rules = await rulesFor(session);
      await using space = await makeSpace(cluster);
      const { kube } = cluster;
      const template = templateOf("web", { containers: [{ ...HELLO, securityContext: { runAsUser: 1000 } }] });
      const metadata = { name: "web", namespace: space.name };
      const spec = { selector: { matchLabels: { app: "web" } }, template };
      switch (session.kind) {
        case "statefulset":
          await kube.create(statefulSets, { metadata, spec: { ...spec, serviceName: "web" } });
          break;
        case "replicaset":
          await kube.create(replicaSets, { metadata, spec });
          break;
        case "daemonset":
          await kube.create(daemonSets, { metadata, spec });
          break;
        case "pod":
          await kube.create(pods, {
            metadata: { ...metadata, labels: { app: "web" } } as NamedIn,
            spec: template.spec,
          });
          break;
        default:
          await kube.create(deployments, { metadata, spec });
      }
      await kube.create(services, { metadata, spec: { selector: { app: "web" }, ports: [{ port: 80 }] } });
      if (session.role === "existing") await install(cluster, "proxy", space.name);
      const words = ["--namespace", space.name, ...session.words, "--run", "true"];

      await space.allow(rules);
      const ended = await run(space.cluster, ...words);
      equals(ended.code, 0, ended.stderr);
      // Of a new proxy's rules, each is missed in the tests below.
      const own = session.account ? rules.filter(({ resources: [resource] }) => resource === "serviceaccounts") : rules;
      for (const rule of own) {
        await space.allow(rules.filter((one) => one !== rule));
        const { code, stderr } = await run(space.cluster, ...words);
        const [resource = ""] = rule.resources;
        equals(code, 255, `without ${resource}: ${stderr}`);
        match(stderr, new RegExp(`^T: Error: .*cannot \\w+ resource "${resource}"`, "m"), `without ${resource}`);
        ok(!stderr.includes("Cleanup failed"), stderr);
      }
      const left = (await kube.list(configMaps, { namespace: space.name, labelSelector: "telepresence" })).items;
      equals(left.map(({ metadata }) => metadata.name), []);
    },
  );
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
    await until("web runs, and can be asked for its image's variables", async () => {
      const { items } = await cluster.kube.list(pods, { namespace: space.name, labelSelector: "app=web" });
      return items.some(({ status }) => status.phase === "Running");
    });

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
