import { deepStrictEqual as equals, ok } from "node:assert/strict";
import { agentConfigMap, exposedService, proxyDeployment } from "./manifest.ts";
import { makePlan, type Wanted } from "../plan/plan.ts";

const WANTED: Wanted = {
  operation: { kind: "new", name: "web" },
  expose: [],
  run: { kind: "shell" },
  environment: { set: {}, unset: [] },
  environmentFiles: {},
  volumes: { at: { kind: "nowhere" }, mode: "auto" },
};

function planOf(wanted: Partial<Wanted>) {
  const plan = makePlan({ ...WANTED, ...wanted }, { contextNamespace: "shop", image: "denoland/deno:1" });
  return { ...plan, sessionId: "5e55", configMapName: "telepresence-5e55-agent", agentPort: 23456 };
}

Deno.test("proxyDeployment() is what the Pod Security Standard restricted allows, and no more than the agent needs", async (t) => {
  await t.assertSnapshot(proxyDeployment(planOf({}), "KEY"));
});

Deno.test("proxyDeployment() asks for low ports only when one is exposed", () => {
  const sysctls = (pod: number) =>
    JSON.stringify(proxyDeployment(planOf({ expose: [{ host: 8080, pod }] }), "K")).includes("sysctls");
  equals([80, 1023, 1024, 8080].map(sysctls), [true, true, false, false]);
  const fromPod = (port: number) =>
    JSON.stringify(proxyDeployment(planOf({ fromPod: [port] }), "K")).includes("sysctls");
  equals([80, 8080].map(fromPod), [true, false], "the agent binds those of --from-pod too");
});

Deno.test("proxyDeployment() gives the key as one word, for it may begin with a dash", () => {
  const manifest = JSON.stringify(proxyDeployment(planOf({}), "-key"));
  ok(manifest.includes('"--key=-key"'), manifest);
});

Deno.test("exposedService() has the Deployment's name and every exposed port", async (t) => {
  await t.assertSnapshot(exposedService(planOf({ expose: [{ host: 8080, pod: 80 }, { host: 9090, pod: 9090 }] })));
});

Deno.test("agentConfigMap() carries the agent and the session's label", () => {
  equals(agentConfigMap(planOf({}), "agent();"), {
    metadata: {
      name: "telepresence-5e55-agent",
      namespace: "shop",
      labels: { telepresence: "5e55", "app.kubernetes.io/managed-by": "telepresence" },
    },
    data: { "agent.js": "agent();" },
  });
});

Deno.test("makePlan() picks a port for the agent that is not an exposed one, and names of its own", () => {
  const all = Array.from({ length: 10_000 }, (_, index) => ({ host: index + 1, pod: 20_000 + index }));
  const { agentPort } = makePlan({ ...WANTED, expose: all }, { contextNamespace: "default", image: "i" });
  equals(agentPort, 30_000);
  const named = () =>
    makePlan({ ...WANTED, operation: { kind: "new" } }, { contextNamespace: "default", image: "i" }).name;
  ok(/^telepresence-[0-9a-f]{10}$/.test(named()));
  ok(named() !== named());
});
