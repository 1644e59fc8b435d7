import { deepStrictEqual as equals } from "node:assert/strict";
import type { AccessQuestion } from "@/kube/mod.ts";
import { checkRights } from "./rights_checks.ts";

/** What is found of port-forwards by who may do everything but some things with subresources of pods. */
async function portForwardsFor(mayNot: (question: AccessQuestion) => boolean): Promise<[string, string]> {
  const kube = { mayI: (question: AccessQuestion) => Promise.resolve(!mayNot(question)) };
  const findings = await checkRights({ kube, namespace: "shop", signal: new AbortController().signal });
  const found = findings.find(({ check }) => check === "right to get, create pods/portforward");
  return [found?.state ?? "", found?.says ?? ""];
}

Deno.test("checkRights(): exec does in place of port-forwards, and where neither is allowed every session lacks it", async () => {
  equals(await portForwardsFor(() => false), ["ok", "reach the agent in its pod"]);
  equals(await portForwardsFor(({ subresource }) => subresource === "portforward"), [
    "warning",
    "you may not get, create: pods/exec does in its place",
  ]);
  equals(await portForwardsFor(({ subresource, verb }) => subresource === "portforward" && verb === "get"), [
    "warning",
    "you may not get: pods/exec does in its place",
  ]);
  equals(await portForwardsFor(({ subresource }) => subresource !== undefined), [
    "problem",
    "you may not get, create: every session needs it, to reach the agent in its pod",
  ]);
});
