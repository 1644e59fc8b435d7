import { deepStrictEqual as equals } from "node:assert/strict";
import { deployments } from "@/kube/mod.ts";
import { whyNoPodComes } from "./no_pod.ts";

Deno.test("whyNoPodComes() says why a Deployment makes no pod", () => {
  const deployment = (metadata: Record<string, unknown>, replicas: number) =>
    deployments.parse({
      metadata: { name: "web", ...metadata },
      spec: { replicas, selector: {}, template: { spec: { containers: [] } } },
    });
  equals(whyNoPodComes(undefined), "was deleted");
  equals(whyNoPodComes(deployment({ deletionTimestamp: "2026-01-01T00:00:00Z" }, 1)), "was deleted");
  equals(whyNoPodComes(deployment({}, 0)), "was scaled to 0");
  equals(whyNoPodComes(deployment({}, 1)), undefined);
});
