/**
 * What the tests of one command's methods on a real cluster share.
 *
 * @module
 */
import { deepStrictEqual as equals } from "node:assert/strict";
import { probeNamespace } from "@/capture/mod.ts";
import type { Shell } from "./as_in_pod.ts";
import { type Cluster, clusterTest, type Ended, run } from "./harness.ts";

const verdict = await probeNamespace(
  await Deno.readFile(new URL("../../build/netns/telepresence-netns", import.meta.url)),
);

/** A test of the namespace, skipped with one line where this machine allows none. */
export function namespaceTest(name: string, body: (cluster: Cluster) => Promise<void>): void {
  if (verdict.allowed) return clusterTest(name, body);
  Deno.test({ name: `${name} (skipped: ${verdict.reason})`, ignore: true, fn() {} });
}

/** Says what a session printed, unless it ended well. */
export function wentWell({ code, stdout, stderr }: Ended): void {
  equals(code, 0, `exit code ${code}\n${stdout}\n${stderr}`);
}

/** A shell of which each call is a session of its own. */
export function shellBy(cluster: Cluster, method: string): Shell {
  return async (lines) => {
    const ended = await run(cluster, "--method", method, "--run", "sh", "-c", lines);
    wentWell(ended);
    return ended.stdout.trim();
  };
}
