import { deepStrictEqual as equals, match } from "node:assert/strict";
import type { KubeClient } from "@/kube/mod.ts";
import { checkServer, type ClusterOptions } from "./cluster_checks.ts";

/** A server of a release that takes so long. */
function serverOf(minor: number, proxy?: string, skipVerify = false): ClusterOptions {
  const config = { server: "https://api.example:6443", tls: { skipVerify }, ...(proxy && { proxy }) };
  const version = () => Promise.resolve({ gitVersion: `v1.${minor}.0`, major: 1, minor });
  const kube = { config, version } as unknown as KubeClient;
  return { kube, namespace: "default", image: "image", signal: new AbortController().signal };
}

function clockOf(stepMs: number): () => number {
  let time = 0;
  return () => time += stepMs;
}

Deno.test("checkServer(): the release, the round trip, and the proxy on the way", async () => {
  const { state, says } = await checkServer(serverOf(34, "http://user:secret@proxy.example:3128"), clockOf(20));
  const want =
    "https://api.example:6443 is Kubernetes v1.34.0 and answers in 20 ms through the proxy proxy.example:3128";
  equals([state, says], ["ok", want], "and no password");
});

Deno.test("checkServer(): an old server and a slow one are warnings", async () => {
  const old = await checkServer(serverOf(21), clockOf(1));
  equals(old.state, "warning");
  match(old.says, /older than 1\.22, so ports below 1024 cannot be exposed/);
  equals(old.hints, ["Expose a port above 1023: --expose 8080"]);
  const slow = await checkServer(serverOf(34), clockOf(501));
  equals(slow.state, "warning");
  match(slow.says, /answers in 501 ms, which is slow/);
  equals(slow.hints.length, 1);
});

Deno.test("checkServer(): a certificate that is not checked is a warning", async () => {
  const { state, says } = await checkServer(serverOf(34, undefined, true), clockOf(1));
  equals(state, "warning");
  match(says, /The certificate of https:\/\/api\.example:6443 is not checked.*can take your credentials/);
});
