/**
 * A service account's token that the kubelet rotates by itself, when it has lived four fifths of its time: ten minutes
 * is the least that a token may live. The switch by which its next version comes is tested quickly elsewhere, with a
 * Secret beside the token (`tests/e2e/swap_volumes_test.ts`).
 */
import { deepStrictEqual as equals, match, notStrictEqual, ok } from "node:assert/strict";
import { pods } from "@/kube/mod.ts";
import { messageOf, sleep } from "@/util/mod.ts";
import { whyNoLiveMount } from "@/volumes/mod.ts";
import { type Cluster, clusterTest, type Running, start } from "../e2e/harness.ts";
import { HELLO, makeWeb, openShop, templateOf } from "../e2e/swap_harness.ts";

/** The least that the API server takes. */
const LIFE_SECONDS = 600;
/** Four fifths of it, up to a minute and a half until the kubelet looks at the pod, and what a busy machine takes. */
const WAIT_MS = 660_000;

/** Tells the token at both paths and the link in its directory, then waits for another token, and tells that. */
const SCRIPT = `
tell() { { cat "$TELEPRESENCE_ROOT/all/token"; echo; cat /all/token; echo; readlink "$TELEPRESENCE_ROOT/all/..data"; } >&2; echo "$1" >&2; }
first=$(cat "$TELEPRESENCE_ROOT/all/token")
tell "first is told"
while now=$(cat "$TELEPRESENCE_ROOT/all/token" 2>/dev/null); [ -z "$now" ] || [ "$now" = "$first" ]; do sleep 1; done
sleep 5
tell "next is told"
read _ # until the test has looked into the pod
exit 0
`;

const lacking = await whyNoLiveMount();
const modes = lacking === undefined ? ["live", "copy"] : ["copy"];

clusterTest(`a token that the kubelet rotates is seen, ${modes.join(" and ")}`, async (cluster) => {
  // Side by side, as each takes ten minutes; all are waited for, so that each deletes what it made.
  const all = await Promise.allSettled(modes.map((mode) => seesRotation(cluster, mode)));
  equals(all.flatMap((one) => one.status === "rejected" ? [messageOf(one.reason)] : []), []);
});

async function seesRotation(cluster: Cluster, mode: string): Promise<void> {
  await using shop = await openShop(cluster);
  const token = { serviceAccountToken: { path: "token", audience: "tests", expirationSeconds: LIFE_SECONDS } };
  const volumes = [{ name: "all", projected: { sources: [token] } }];
  const containers = [{ ...HELLO, volumeMounts: [{ name: "all", mountPath: "/all" }] }];
  await makeWeb(shop, { template: templateOf("web", { terminationGracePeriodSeconds: 0, containers, volumes }) });
  const words = [
    "--logfile",
    "/dev/null",
    "--namespace",
    shop.namespace,
    "--swap-deployment",
    "web",
    "--mount-mode",
    mode,
  ];
  await using running = start(cluster, [...words, "--method", "inject-tcp", "--run", "sh", "-c", SCRIPT]);
  await running.said(/^first is told$/m);
  await heard(running, /^next is told$/m);
  const lines = running.heard().split("\n");
  const toldBefore = (end: string) => lines.slice(lines.indexOf(end) - 3, lines.indexOf(end));
  const [first = "", firstAtPath, firstLink] = toldBefore("first is told");
  const [next = "", nextAtPath, nextLink] = toldBefore("next is told");
  match(next, /^eyJ[\w-]+\.[\w-]+\.[\w-]+$/);
  notStrictEqual(next, first);
  notStrictEqual(nextLink, firstLink);
  equals([firstAtPath, nextAtPath], [first, next], "at its path in the pod too");
  equals(next, await tokenInPod(cluster, shop.namespace), "as the pod itself sees it");
  const [before, after] = [claimsOf(first), claimsOf(next)];
  ok(after.exp > before.exp && after.iat - before.iat >= LIFE_SECONDS * 0.7, JSON.stringify([before, after]));
  equals((await running.ended()).code, 0);
}

/** Waits until the program has said this. @throws when it ends first, or says it too late */
async function heard(running: Running, words: RegExp): Promise<void> {
  const end = performance.now() + WAIT_MS;
  while (!words.test(running.heard())) {
    if (performance.now() > end) throw new Error(`The program did not say ${words}:\n${running.heard()}`);
    await sleep(500);
  }
}

async function tokenInPod({ kube }: Cluster, namespace: string): Promise<string> {
  const { items: [proxy] } = await kube.list(pods, { namespace, labelSelector: "telepresence" });
  ok(proxy);
  const where = { namespace, name: proxy.metadata.name };
  return (await kube.exec(where, { command: ["cat", "/all/token"] })).stdout;
}

/** What a token says of itself. */
function claimsOf(token: string): { readonly iat: number; readonly exp: number } {
  const [, claims = ""] = token.split(".");
  return JSON.parse(new TextDecoder().decode(Uint8Array.fromBase64(claims, { alphabet: "base64url" })));
}
