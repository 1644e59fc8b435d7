/** Sessions on a cluster that is reached through a proxy alone: requests, watches and the tunnel's streams alike. */
import { match, ok, strictEqual as equal } from "node:assert/strict";
import { type FakeCluster, type ProxyKind, startFakeCluster, startProxy } from "../testkit/mod.ts";
import { endedWith, run } from "./harness.ts";

const STARTING = "T: Starting network proxy to cluster using new Deployment web";
/** Resolved by the proxy, and by nobody else. */
const NAME = "api.invalid";

/** Gives the server a name that only the proxy knows, and the user's certificate stays. */
async function goThrough(cluster: FakeCluster, proxy: string): Promise<void> {
  const config = JSON.parse(cluster.kubeconfig);
  Object.assign(config.clusters[0].cluster, {
    server: `https://${NAME}:${new URL(cluster.server).port}`,
    "tls-server-name": "localhost",
    "proxy-url": proxy,
  });
  await Deno.writeTextFile(cluster.kubeconfigPath, JSON.stringify(config));
}

Deno.test("a session goes through a proxy with all that it does, and has its client certificate behind it:", async (t) => {
  for (const kind of ["http", "https", "socks5"] satisfies ProxyKind[]) {
    await t.step(kind, async () => {
      await using cluster = await startFakeCluster();
      await using proxy = startProxy(kind, "me:secret");
      await goThrough(cluster, proxy.url);
      const ended = await run(cluster, ["-nweb", "--run", "sh", "-c", `env > ${cluster.directory}/env; exit 3`]);
      await endedWith(cluster, ended, 3, [STARTING]);
      match(await Deno.readTextFile(`${cluster.directory}/env`), /^KUBERNETES_SERVICE_HOST=/m);
      ok(proxy.asked.length > 2 && proxy.asked.every((name) => name === NAME), proxy.asked.join());
    });
  }
});

Deno.test("a proxy that refuses ends with 255, its address without the password, and a next step", async () => {
  await using cluster = await startFakeCluster();
  await using proxy = startProxy("http", "me:secret");
  await goThrough(cluster, proxy.url.replace("secret", "wrong-word"));
  const { code, stderr } = await run(cluster, ["-nweb", "--run", "true"]);
  equal(code, 255, stderr);
  match(
    stderr,
    /^T: Error: Cannot connect to api\.invalid:\d+ through the proxy http:\/\/127\.0\.0\.1:\d+: it answered with HTTP/m,
  );
  match(stderr, /status 407$/m);
  match(stderr, /^T: Hint: Give user and password in the proxy's address: /m);
  ok(!stderr.includes("wrong-word"), stderr);
});
