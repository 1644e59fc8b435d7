/**
 * The client of `lib/kube` against a real API server, call by call, and beside it kubectl with the same kubeconfig: the
 * same user, the same answers, the same refusals.
 */
import { deepStrictEqual as equals, match, ok, rejects, strictEqual as equal } from "node:assert/strict";
import * as z from "zod/mini";
import {
  configMaps,
  deployments,
  ExecError,
  isConflict,
  isForbidden,
  isNotFound,
  isUnauthorized,
  type KubeClient,
  KubeError,
  loadKubeconfig,
  namespaces,
  openKubeClient,
  pods,
  PortForwardError,
  type Resource,
  services,
  untyped,
  waitForPod,
} from "@/kube/mod.ts";
import { type Finished, runProgram } from "@/process/mod.ts";
import { deadline, sleep } from "@/util/mod.ts";
import { clusterUnavailable, ensureCluster } from "../cluster/mod.ts";
import { writeKubeconfig } from "../cluster/write_kubeconfig.ts";
import {
  type Cluster,
  clusterTest,
  embeddedTest,
  FOREIGN,
  KUBECONFIG,
  makeNamespace,
  start,
  until,
  withToken,
} from "./harness.ts";
import { resourceQuotas } from "./doctor_resources.ts";
import { templateOf } from "./swap_harness.ts";

const serviceAccounts = untyped({ ...pods, plural: "serviceaccounts", kind: "ServiceAccount" });
const secrets = untyped({ ...pods, plural: "secrets", kind: "Secret" });
const roleBindings = untyped({
  ...pods,
  group: "rbac.authorization.k8s.io",
  plural: "rolebindings",
  kind: "RoleBinding",
});
const Who = z.object({
  username: z.string(),
  groups: z._default(z.array(z.string()), []),
  extra: z._default(z.record(z.string(), z.array(z.string())), {}),
});
const Review = z.object({ status: z.object({ userInfo: Who }) });
const reviews: Resource<z.infer<typeof Review>> = {
  group: "authentication.k8s.io",
  version: "v1",
  plural: "selfsubjectreviews",
  kind: "SelfSubjectReview",
  namespaced: false,
  parse: (value) => z.parse(Review, value),
};

/** Whom the server takes us for. */
async function whoAmI(kube: KubeClient): Promise<z.infer<typeof Who>> {
  return (await kube.create(reviews, { metadata: {} })).status.userInfo;
}

/** kubectl of the embedded cluster, or the one on PATH; undefined where there is none. */
const KUBECTL = await findKubectl();

async function findKubectl(): Promise<readonly [string, ...string[]] | undefined> {
  if (KUBECONFIG === undefined) return undefined;
  if (!FOREIGN) {
    const [program, word] = (await ensureCluster()).kubectl;
    return [program, word ?? ""];
  }
  return await runProgram(["kubectl", "version", "--client"]).then(() => ["kubectl"] as const, () => undefined);
}

/** Runs kubectl with a kubeconfig. */
async function kubectl({ kubeconfig, directory }: Cluster, ...words: string[]): Promise<Finished> {
  const command = [...KUBECTL ?? ["kubectl"] as const, "--kubeconfig", kubeconfig, "--cache-dir", `${directory}/cache`];
  const env = { NO_PROXY: "*", KUBECTL_KUBERC: "false" };
  return await runProgram([...command, ...words] as [string, ...string[]], { env });
}

/** The same as {@linkcode clusterTest}, for what compares with kubectl: skipped, by name, where there is none. */
function kubectlTest(name: string, body: (cluster: Cluster) => Promise<void>): void {
  const lacking = KUBECONFIG !== undefined && KUBECTL === undefined;
  if (lacking) Deno.test({ name: `${name} (skipped: kubectl is not on PATH)`, ignore: true, fn() {} });
  else clusterTest(name, body);
}

/** The client that a kubeconfig makes. */
async function open({ kubeconfig }: Cluster): Promise<KubeClient> {
  return openKubeClient(await loadKubeconfig({ env: { KUBECONFIG: kubeconfig } }));
}

/** Runs `body` with a namespace of its own, whose service account `user` has a ClusterRole's rights in it. */
async function withSpace(
  { kube }: Cluster,
  role: "view" | "admin",
  body: (namespace: string) => Promise<void>,
): Promise<void> {
  const name = await makeNamespace({ kube }, "e2e-kube");
  try {
    await kube.create(serviceAccounts, { metadata: { name: "user", namespace: name } });
    await kube.create(roleBindings, {
      metadata: { name: "user", namespace: name },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: role },
      subjects: [{ kind: "ServiceAccount", name: "user", namespace: name }],
    });
    await until(`namespace ${name} has its service account`, async () => {
      const { items } = await kube.list(serviceAccounts, { namespace: name });
      return items.some(({ metadata }) => metadata.name === "default");
    });
    await body(name);
  } finally {
    await kube.delete(namespaces, { name });
  }
}

/** A token of the space's service account; with a Secret's name it is good for as long as there is that Secret. */
async function tokenOf(kube: KubeClient, namespace: string, secret?: string): Promise<string> {
  const made = secret === undefined ? undefined : await kube.create(secrets, { metadata: { name: secret, namespace } });
  const { apiVersion, kind } = { apiVersion: "v1", kind: "Secret" };
  const boundObjectRef = made && { apiVersion, kind, name: made.metadata.name, uid: made.metadata.uid };
  const request = untyped({ ...pods, plural: "serviceaccounts/user/token", kind: "TokenRequest" });
  const { status } = await kube.create(request, {
    apiVersion: "authentication.k8s.io/v1",
    metadata: { name: "user", namespace },
    spec: { ...(boundObjectRef && { boundObjectRef }) },
  }) as { status?: unknown };
  return z.parse(z.object({ token: z.string() }), status).token;
}

/** The same cluster by a plugin that gives the n-th of these tokens at its n-th run, and then the last one. */
async function withPlugin(cluster: Cluster, tokens: readonly string[]): Promise<Cluster & { runs(): Promise<number> }> {
  const folder = `${cluster.directory}/plugin-${crypto.randomUUID().slice(0, 8)}`;
  await Deno.mkdir(folder);
  const apiVersion = "client.authentication.k8s.io/v1";
  for (const [index, token] of tokens.entries()) {
    const answer = { apiVersion, kind: "ExecCredential", status: { token } };
    await Deno.writeTextFile(`${folder}/${index + 1}`, JSON.stringify(answer));
  }
  const script = `#!/bin/sh
cd "$(dirname "$0")"
echo run >> runs
n=$(wc -l < runs)
[ "$n" -le ${tokens.length} ] || n=${tokens.length}
cat "$((n))"
`;
  await Deno.writeTextFile(`${folder}/plugin`, script, { mode: 0o700 });
  const anyone = await withToken(cluster, "");
  const config = await loadKubeconfig({ env: { KUBECONFIG: anyone.kubeconfig } });
  await writeKubeconfig(anyone.kubeconfig, {
    ...config,
    userName: "plugin",
    credentials: {
      kind: "exec",
      apiVersion,
      command: `${folder}/plugin`,
      args: [],
      env: {},
      interactiveMode: "Never",
    },
  });
  return {
    ...anyone,
    async runs() {
      return (await Deno.readTextFile(`${folder}/runs`)).trimEnd().split("\n").length;
    },
  };
}

kubectlTest(
  "the kubeconfig's own user, a token and an exec plugin are to the server who they are to kubectl",
  async (cluster) => {
    await withSpace(cluster, "view", async (namespace) => {
      const token = await tokenOf(cluster.kube, namespace);
      const account = `system:serviceaccount:${namespace}:user`;
      const cases = [
        { as: cluster, want: /./ },
        { as: await withToken(cluster, token), want: new RegExp(`^${account}$`) },
        { as: await withPlugin(cluster, [token]), want: new RegExp(`^${account}$`) },
      ];
      for (const { as, want } of cases) {
        await using kube = await open(as);
        const { username, groups } = await whoAmI(kube);
        match(username, want);
        const { stdout, stderr } = await kubectl(as, "auth", "whoami", "--output=json");
        ok(stdout !== "", stderr);
        const { status } = JSON.parse(stdout);
        equals({ username, groups }, { username: status.userInfo.username, groups: status.userInfo.groups });
      }
    });
  },
);

embeddedTest("a client certificate that is renewed in its files is used by the same client", async (cluster) => {
  const { directory, kube: { config } } = cluster;
  const { instance } = await ensureCluster();
  const paths = { cert: `${directory}/client.crt`, key: `${directory}/client.key` };
  const renew = async (component: string) => {
    for (const part of ["crt", "key"]) {
      await Deno.copyFile(`${instance.state}/pki/${component}.${part}`, `${directory}/client.${part}`);
    }
  };
  await writeKubeconfig(`${directory}/with-files`, {
    ...config,
    tls: { ...config.tls, clientCertificate: { cert: "", key: "" }, clientCertificateFiles: paths },
  });
  await renew("kube-proxy");
  await using kube = await open({ ...cluster, kubeconfig: `${directory}/with-files` });
  equal((await whoAmI(kube)).username, "system:kube-proxy");
  await renew("kube-scheduler");
  equal((await whoAmI(kube)).username, "system:kube-scheduler");
});

embeddedTest("the embedded cluster's kubeconfig comes in by a client certificate", async ({ kube }) => {
  ok(kube.config.tls.clientCertificate !== undefined);
  equal(kube.config.credentials.kind, "none");
  equal((await whoAmI(kube)).username, "telepresence-cluster-admin");
});

kubectlTest("whom to act as is sent as kubectl sends it, and refused in the same words", async (cluster) => {
  const impersonate = { user: "jane", groups: ["developers"], extra: { "example.test/scope": ["a b"] } };
  await using kube = openKubeClient({ ...cluster.kube.config, impersonate });
  const { username, groups, extra } = await whoAmI(kube);
  equals({ username, extra }, { username: "jane", extra: { "example.test/scope": ["a b"] } });
  ok(groups.includes("developers"), groups.join());
  const { namespace } = cluster;
  const { stderr } = await kubectl(
    cluster,
    "--as=jane",
    "--as-group=developers",
    "get",
    "pods",
    "--namespace",
    namespace,
  );
  const refusal = await rejection(kube.list(pods, { namespace }));
  ok(isForbidden(refusal));
  equal(stderr.trim(), `Error from server (Forbidden): ${refusal.words}`);
  ok(refusal.hints.some((hint) => hint.includes("list") && hint.includes("pods")), refusal.hints.join("\n"));
});

async function rejection(call: Promise<unknown>): Promise<KubeError> {
  const error: unknown = await call.then(() => undefined, (reason) => reason);
  if (error instanceof KubeError) return error;
  throw new Error("The server refused nothing", { cause: error });
}

kubectlTest("what is not there, and a token that nobody gave, are refused in kubectl's words", async (cluster) => {
  const { namespace } = cluster;
  const missing = await rejection(cluster.kube.get(deployments, { name: "nonesuch", namespace }));
  ok(isNotFound(missing));
  const told = await kubectl(cluster, "get", "deployment", "nonesuch", "--namespace", namespace);
  equal(told.stderr.trim(), `Error from server (NotFound): ${missing.words}`);
  const stranger = await withToken(cluster, "no.such.token");
  await using kube = await open(stranger);
  const refused = await rejection(kube.list(pods, { namespace }));
  ok(isUnauthorized(refused));
  match((await kubectl(stranger, "get", "pods")).stderr, new RegExp(`\\(${refused.words}\\)`));
});

kubectlTest("of several kubeconfigs the same context, server and user are chosen", async (cluster) => {
  const { directory, kube: { config } } = cluster;
  const other = { ...config, contextName: "other", userName: "someone", namespace: "elsewhere" };
  await writeKubeconfig(`${directory}/first`, { ...other, clusterName: "other", server: "https://127.0.0.1:1" });
  const list = `${directory}/none:${directory}/first:${cluster.kubeconfig}`;
  for (const context of ["other", config.contextName]) {
    const ours = await loadKubeconfig({ env: { KUBECONFIG: list }, context });
    const [program, ...words] = KUBECTL ?? ["kubectl"];
    const view = await runProgram(
      [program, ...words, "config", "view", "--minify", "--flatten", "--output=json", "--context", context],
      { env: { KUBECONFIG: list, KUBECTL_KUBERC: "false" } },
    );
    const seen = JSON.parse(view.stdout);
    const [{ context: chosen }] = seen.contexts;
    equals(
      { server: ours.server, clusterName: ours.clusterName, userName: ours.userName, namespace: ours.namespace },
      {
        server: seen.clusters[0].cluster.server,
        clusterName: chosen.cluster,
        userName: chosen.user,
        namespace: chosen.namespace ?? "default",
      },
    );
  }
});

kubectlTest("the version and the objects are those that kubectl gets", async (cluster) => {
  const { kube, namespace } = cluster;
  const { serverVersion } = JSON.parse((await kubectl(cluster, "version", "--output=json")).stdout);
  equal((await kube.version()).gitVersion, serverVersion.gitVersion);
  const { items } = await kube.list(services, { namespace });
  const { stdout } = await kubectl(cluster, "get", "services", "--namespace", namespace, "--output=name");
  equals(items.map(({ metadata }) => `service/${metadata.name}`).sort(), stdout.trim().split("\n").sort());
});

clusterTest("a token that ends in the middle is replaced by the plugin, and no call fails", async (cluster) => {
  await withSpace(cluster, "view", async (namespace) => {
    const tokens = [await tokenOf(cluster.kube, namespace, "first"), await tokenOf(cluster.kube, namespace)];
    const as = await withPlugin(cluster, tokens);
    await using kube = await open(as);
    await kube.list(pods, { namespace });
    equal(await as.runs(), 1);
    await cluster.kube.delete(secrets, { name: "first", namespace });
    // The server keeps what it once took for good for ten seconds.
    await until("the plugin is asked again", async () => {
      await kube.list(pods, { namespace });
      return await as.runs() === 2;
    });
  });
});

clusterTest(
  "a session whose token ends while its command runs gives everything back with the next one",
  async (cluster) => {
    await withSpace(cluster, "admin", async (namespace) => {
      const tokens = [await tokenOf(cluster.kube, namespace, "first"), await tokenOf(cluster.kube, namespace)];
      const as = await withPlugin(cluster, tokens);
      await using first = await open(await withToken(cluster, tokens[0] ?? ""));
      const url = `http://helloworld.${cluster.namespace}`;
      await using running = start(as, ["--namespace", namespace, "--run", "sh", "-c", `read go; curl -sS ${url}`]);
      await running.said(/Starting network proxy/);
      await waitForPod(cluster.kube, { namespace, labelSelector: "telepresence", signal: AbortSignal.timeout(60_000) });
      await cluster.kube.delete(secrets, { name: "first", namespace });
      await until("the first token is refused", async () => {
        return await first.list(pods, { namespace }).then(() => false, isUnauthorized);
      });
      await running.stdin.write(new TextEncoder().encode("go\n"));
      const { code, stdout, stderr } = await running.ended();
      equal(code, 0, stderr);
      match(stdout, /Hello, world!/);
      ok(await as.runs() >= 2, "the first token was never refused");
      equals((await cluster.kube.list(deployments, { namespace })).items, []);
    });
  },
);

clusterTest("objects are made, changed in all ways, and deleted under conditions", async (cluster) => {
  const { kube } = cluster;
  await withSpace(cluster, "view", async (namespace) => {
    const where = { name: "c", namespace };
    const data = async () => (await kube.get(untyped(configMaps), where))["data"];
    await kube.create(configMaps, { metadata: where, data: { never: "stored" } }, { dryRun: true });
    await rejects(kube.get(configMaps, where), isNotFound);
    const { metadata: made } = await kube.create(configMaps, { metadata: where, data: { a: "1", b: "2" } });
    await kube.patch(configMaps, where, { type: "merge", body: { data: { a: "merge", b: null } } });
    equals(await data(), { a: "merge" });
    await kube.patch(configMaps, where, { type: "strategic", body: { data: { b: "strategic" } } });
    await kube.patch(configMaps, where, { type: "json", body: [{ op: "replace", path: "/data/a", value: "json" }] });
    equals(await data(), { a: "json", b: "strategic" });
    const body = { apiVersion: "v1", kind: "ConfigMap", data: { c: "apply" } };
    await kube.patch(configMaps, where, { type: "apply", fieldManager: "e2e", body });
    equals(await data(), { a: "json", b: "strategic", c: "apply" });
    const old = { metadata: { ...where, resourceVersion: made.resourceVersion }, data: {} };
    await rejects(kube.replace(configMaps, old), isConflict);
    await rejects(kube.delete(configMaps, where, { uid: crypto.randomUUID() }), isConflict);
    await kube.delete(configMaps, where, { uid: made.uid });
    await rejects(kube.get(configMaps, where), isNotFound);
  });
});

/** The pod behind Deployment `tools`. */
async function toolsPod({ kube, namespace }: Cluster): Promise<{ name: string; namespace: string }> {
  const { metadata } = await waitForPod(kube, { namespace, labelSelector: "app=tools" });
  return { name: metadata.name, namespace };
}

clusterTest(
  "waiting for a pod tells the quota that keeps it from being made, and goes on when there is room",
  async (cluster) => {
    const { kube } = cluster;
    await withSpace(cluster, "view", async (namespace) => {
      await kube.create(resourceQuotas, { metadata: { name: "none", namespace }, spec: { hard: { pods: "0" } } });
      await until("the quota is known", async () => {
        return JSON.stringify(await kube.get(resourceQuotas, { namespace, name: "none" })).includes('"used"');
      });
      await kube.create(deployments, {
        metadata: { name: "web", namespace },
        spec: { selector: { matchLabels: { app: "web" } }, template: templateOf("web") },
      });
      const told: string[] = [];
      const onObstacle = (words: string) => {
        told.push(words);
        void kube.delete(resourceQuotas, { namespace, name: "none" }).catch(() => {}); // once is enough
      };
      const signal = AbortSignal.timeout(60_000);
      await waitForPod(kube, { namespace, labelSelector: "app=web", madeBy: "web", onObstacle, signal });
      match(told[0] ?? "", /^FailedCreate: .*exceeded quota: none, requested: pods=1/);
    });
  },
);

clusterTest("exec gives the exit code and both outputs, and takes the input to its end", async (cluster) => {
  const pod = await toolsPod(cluster);
  const script = "cat; echo to stderr >&2; exit 42";
  const ended = await cluster.kube.exec(pod, { command: ["sh", "-c", script], stdin: "grüße\n" });
  equals(ended, { code: 42, stdout: "grüße\n", stderr: "to stderr\n" });
});

clusterTest("a log is followed from its start to the end of its container", async (cluster) => {
  const { kube, namespace } = cluster;
  const { items } = await kube.list(pods, { namespace, labelSelector: "app=tools" });
  const [like] = z.parse(
    z.object({ spec: z.object({ containers: z.array(z.object({ image: z.string(), imagePullPolicy: z.string() })) }) }),
    await kube.get(untyped(pods), { namespace, name: items[0]?.metadata.name ?? "" }),
  ).spec.containers;
  await withSpace(cluster, "view", async (space) => {
    const command = ["sh", "-c", "for n in 1 2 3; do echo line $n; sleep 0.3; done"];
    await kube.create(pods, {
      metadata: { name: "talks", namespace: space, labels: { app: "talks" } },
      spec: { restartPolicy: "Never", containers: [{ ...like, name: "talks", command }] },
    });
    await waitForPod(kube, { namespace: space, labelSelector: "app=talks", until: "running" });
    const lines = await Array.fromAsync(kube.followLogs({ namespace: space, name: "talks" }));
    equals(lines, ["line 1", "line 2", "line 3"]);
  });
});

clusterTest(
  "a port-forward reaches a port of the pod by each way, and says when nobody listens there",
  async (cluster) => {
    const { metadata: { name } } = await waitForPod(cluster.kube, {
      namespace: cluster.namespace,
      labelSelector: "app=helloworld",
    });
    const pod = { name, namespace: cluster.namespace };
    const by = (port: number) => ({ exec: { command: ["busybox", "nc", "127.0.0.1", String(port)] } } as const);
    for (const way of ["websocket", "exec", "tunnel", "spdy"] as const) {
      await using kube = openKubeClient(cluster.kube.config, { portForwardWays: [way] });
      const duplex = await kube.portForward(pod, 8000, by(8000));
      await duplex.write(new TextEncoder().encode("GET / HTTP/1.0\r\n\r\n"));
      match(await readAll(duplex), /^HTTP\/1\.[01] 200 [^]*Hello, world!/, way);
      const silent = await kube.portForward(pod, 1, by(1));
      await rejects(readAll(silent), way === "exec" ? ExecError : PortForwardError, way);
    }
  },
);

async function readAll(duplex: { read(into: Uint8Array): Promise<number | null>; close(): void }): Promise<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(64 * 1024);
  let text = "";
  try {
    for (let count; (count = await duplex.read(buffer)) !== null;) text += decoder.decode(buffer.subarray(0, count));
  } finally {
    duplex.close();
  }
  return text;
}

/** A cluster of our own, whose API server may be restarted while others work with theirs. */
const OWN = "kubetest";

embeddedTest("a watch and its client outlive a restart of the API server, and miss nothing", async () => {
  equal(await clusterUnavailable(), undefined);
  const own = await ensureCluster(OWN);
  try {
    await using kube = openKubeClient(await loadKubeconfig({ env: {}, path: own.kubeconfig }));
    using late = deadline(120_000, () => new Error("The watch did not tell of all within two minutes"));
    const { signal } = late;
    const seen: string[] = [];
    const watching = (async () => {
      for await (const { type, object } of kube.watch(configMaps, { namespace: "default" }, { signal })) {
        if (/^w\d$/.test(object.metadata.name)) seen.push(`${type} ${object.metadata.name}`);
        if (seen.length === 3) return;
      }
    })();
    await kube.create(configMaps, { metadata: { name: "w1", namespace: "default" } });
    while (seen.length < 1) await sleep(50, signal);
    await own.restart("kube-apiserver");
    await kube.create(configMaps, { metadata: { name: "w2", namespace: "default" } });
    await kube.delete(configMaps, { name: "w1", namespace: "default" });
    await watching;
    equals(seen, ["ADDED w1", "ADDED w2", "DELETED w1"]);
  } finally {
    const args = ["run", "--allow-all", new URL("../cluster/cluster.ts", import.meta.url).pathname, "down"] as const;
    await runProgram([Deno.execPath(), ...args], { env: { TELEPRESENCE_CLUSTER: OWN } });
  }
});
