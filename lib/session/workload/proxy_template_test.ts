import { deepStrictEqual as equals, ok, throws } from "node:assert/strict";
import { makePlan, mergeAutomatic, type Plan, type Wanted } from "../plan/plan.ts";
import { originalWith } from "./_test_original.ts";
import type { Original } from "./original.ts";
import { proxyTemplate, renameRuntimeVariables } from "./proxy_template.ts";

const WANTED: Wanted = {
  operation: { kind: "swap", workload: { kind: "deployment", name: "web" } },
  expose: [],
  run: { kind: "shell" },
  environment: { set: {}, unset: [] },
  environmentFiles: {},
  volumes: { at: { kind: "temporary" }, mode: "auto" },
};

function planOf(original: Original, wanted: Partial<Wanted> = {}): Plan {
  const plan = makePlan({ ...WANTED, ...wanted }, { contextNamespace: "shop", image: "denoland/deno:1", original });
  return { ...plan, sessionId: "5e55", configMapName: "telepresence-5e55-agent", agentPort: 23456 };
}

function templateOf(original: Original, wanted: Partial<Wanted> = {}) {
  return proxyTemplate(planOf(original, wanted), original, {
    identity: { user: 1234, group: 5678, supplementalGroups: [] },
    command: ["deno", "run", "agent.js"],
    labels: { telepresence: "5e55" },
  });
}

Deno.test("proxyTemplate() keeps everything but what the proxied container must give up", async (t) => {
  await t.assertSnapshot(templateOf(originalWith()));
});

Deno.test("proxyTemplate() holds the labels back by which Services find the original", () => {
  equals(templateOf(originalWith()).metadata.labels, { tier: "front", telepresence: "5e55" });
  const unserved = originalWith({ servedBy: {}, services: [] });
  equals(templateOf(unserved).metadata.labels, { app: "web", tier: "front", telepresence: "5e55" });
});

Deno.test("proxyTemplate() leaves init containers out when asked, but not sidecars that are called so", () => {
  const names = (wanted: Partial<Wanted>) =>
    templateOf(originalWith(), wanted).spec.initContainers.map(({ name }) => name);
  equals(names({}), ["prepare", "mesh"]);
  equals(names({ initContainers: false }), ["mesh"]);
});

Deno.test("proxyTemplate() sets the service account by its name, and drops the alias that would be ignored (T25)", () => {
  const { spec } = templateOf(originalWith(), { serviceAccount: "other" });
  equals([spec.serviceAccountName, "serviceAccount" in spec], ["other", false]);
});

Deno.test("proxyTemplate() asks for low ports only when one is exposed", () => {
  const sysctls = (pod: number) =>
    JSON.stringify(templateOf(originalWith(), { expose: [{ host: 1080, pod }] })).includes(
      "ip_unprivileged_port_start",
    );
  equals([80, 1023, 1024].map(sysctls), [true, true, false]);
  const asks = (original: Original, wanted?: Partial<Wanted>) =>
    JSON.stringify(templateOf(original, wanted)).includes("ip_unprivileged_port_start");
  const declared = originalWith({ ports: [80, 9090] });
  ok(asks(declared), "a declared port is exposed without being asked for");
  ok(!asks(declared, { expose: [{ host: 80, pod: 8080 }] }), "unless the host's port of that number is another's");
  ok(asks(originalWith(), { fromPod: [80] }), "and so is one of --from-pod bound");
  const onNode = templateOf(originalWith({}, { hostNetwork: true }), { expose: [{ host: 1080, pod: 80 }] });
  ok(!JSON.stringify(onNode).includes("ip_unprivileged_port_start"), "the node's network is not ours to change");
});

Deno.test("proxyTemplate() has root's capability for low ports on the network of a node, and nowhere else", () => {
  const capabilities = (hostNetwork: boolean, user: number, wanted: Partial<Wanted>) => {
    const original = originalWith({}, { hostNetwork });
    const identity = { user, group: 0, supplementalGroups: [] };
    const { spec } = proxyTemplate(planOf(original, wanted), original, { identity, command: [], labels: {} });
    return (spec.containers[0]?.["securityContext"] as { capabilities: unknown }).capabilities;
  };
  const low = { expose: [{ host: 1080, pod: 80 }] };
  equals(capabilities(true, 0, low), { drop: ["ALL"], add: ["NET_BIND_SERVICE"] });
  equals(capabilities(true, 0, { fromPod: [80] }), { drop: ["ALL"], add: ["NET_BIND_SERVICE"] });
  for (const each of [capabilities(false, 0, low), capabilities(true, 1000, low), capabilities(true, 0, {})]) {
    equals(each, { drop: ["ALL"] });
  }
});

Deno.test("proxyTemplate() runs as root where the original does, and says so to nobody else", () => {
  const original = originalWith();
  const template = proxyTemplate(planOf(original), original, {
    identity: { user: 0, group: 0, supplementalGroups: [7] },
    command: [],
    labels: {},
  });
  const [agent] = template.spec.containers;
  const { runAsUser, runAsNonRoot, privileged } = agent?.["securityContext"] as Record<string, unknown>;
  equals([runAsUser, runAsNonRoot, privileged], [0, false, undefined]);
  equals((template.spec["securityContext"] as { supplementalGroups: number[] }).supplementalGroups, [3000, 7]);
});

Deno.test("proxyTemplate() stands for pod 0 of a StatefulSet, with its name and its volumes", () => {
  const original = originalWith({ kind: "statefulset", name: "db", ordinal: { serviceName: "db", claims: ["data"] } });
  const { spec } = templateOf(original);
  equals([spec["hostname"], spec["subdomain"]], ["db-0", "db"]);
  ok(JSON.stringify(spec["volumes"]).includes('{"name":"data","persistentVolumeClaim":{"claimName":"data-db-0"}}'));
});

Deno.test("renameRuntimeVariables() renames what the agent's runtime would obey, and what refers to it", async (t) => {
  const renamed = ["NODE_OPTIONS", "DENO_DIR", "LD_PRELOAD", "HTTP_PROXY", "https_proxy", "NO_PROXY", "ALL_PROXY"];
  for (const name of renamed) {
    await t.step(name, () => {
      equals(renameRuntimeVariables([{ name, value: "x" }]), [{ name: `TELEPRESENCE_KEPT_${name}`, value: "x" }]);
    });
  }
  for (const name of ["NODE_ENV", "PROXY", "OLD_PATH", "MY_HTTP_PROXY"]) {
    await t.step(`${name} stays`, () => equals(renameRuntimeVariables([{ name, value: "x" }]), [{ name, value: "x" }]));
  }
  await t.step("references to what is not in env before look among the sources, if there are any", () => {
    const env = [{ name: "A", value: "$(B) $$(B) $(A)" }, { name: "B", value: "$(A)" }];
    equals(renameRuntimeVariables(env, true), [
      { name: "A", value: "$(TELEPRESENCE_FROM_B) $$(B) $(TELEPRESENCE_FROM_A)" },
      { name: "B", value: "$(A)" },
    ]);
    equals(renameRuntimeVariables(env), env);
  });
  await t.step("references follow, what is escaped does not", () => {
    const env = [{ name: "LD_X", value: "1" }, { name: "A", value: "$(LD_X) $$(LD_X) $(B)" }];
    equals(renameRuntimeVariables(env)[1], { name: "A", value: "$(TELEPRESENCE_KEPT_LD_X) $$(LD_X) $(B)" });
  });
});

Deno.test("mergeAutomatic() adds declared ports and never loses an explicit one (T1)", async (t) => {
  const table: readonly (readonly [string, string, number[], string])[] = [
    ["Telepresence 1's own case", "1234:80 90:90", [80, 555, 666], "1234:80 90:90 555:555 666:666"],
    ["80:8080 beside a declared 80", "80:8080", [80], "80:8080"],
    ["8080:80 beside a declared 8080", "8080:80", [8080, 80], "8080:80"],
    ["nothing explicit", "", [80, 80], "80:80"],
  ];
  for (const [name, explicit, declared, want] of table) {
    await t.step(name, () => {
      const ports = explicit.split(" ").filter((word) => word !== "").map((word) => {
        const [host = 0, pod = 0] = word.split(":").map(Number);
        return { host, pod };
      });
      equals(mergeAutomatic(ports, declared).map(({ host, pod }) => `${host}:${pod}`).join(" "), want);
    });
  }
});

Deno.test("makePlan() refuses --to-pod for a port where the container's own one comes to", () => {
  const original = originalWith({ ports: [8080] });
  throws(
    () => planOf(original, { toPod: [8080] }),
    /^UserError: Cannot forward port 8080 to the pod: the container's port 8080 is exposed there$/,
  );
  equals(planOf(original, { toPod: [8080], expose: [{ host: 9090, pod: 8080 }] }).toPod, [8080]);
});

Deno.test("makePlan() names the proxy after the workload, by a name that Kubernetes takes (T26)", async (t) => {
  const table = [
    ["web", /^web-telepresence-[0-9a-f]{6}$/],
    ["a.b", /^a-b-telepresence-[0-9a-f]{6}$/],
    [`${"a".repeat(25)}.${"b".repeat(40)}`, /^a{25}-telepresence-[0-9a-f]{6}$/],
  ] as const;
  for (const [name, want] of table) {
    await t.step(name, () => {
      const operation = { kind: "swap", workload: { kind: "deployment", name } } as const;
      const plan = planOf(originalWith({ name }), { operation });
      ok(want.test(plan.name), plan.name);
      ok(plan.name.length <= 46);
    });
  }
});
