/** `telepresence doctor` on a real cluster: well where all is well, and each of its lines red where it has to be. */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import * as z from "zod/mini";
import { configMaps, limitRanges, resourceQuotas } from "./doctor_resources.ts";
import { type Cluster, clusterTest, run, start, until, withNamespace, withToken } from "./harness.ts";
import { makeUser } from "./users.ts";

const Findings = z.object({
  findings: z.array(z.object({
    check: z.string(),
    state: z.enum(["ok", "warning", "problem"]),
    says: z.string(),
    hints: z.array(z.string()),
  })),
  counts: z.object({ ok: z.number(), warning: z.number(), problem: z.number() }),
});
type Finding = z.infer<typeof Findings>["findings"][number];

/** What the doctor finds, by its checks; every finding that is not ok has a next step, and the exit code fits. */
async function examine(cluster: Cluster, ...args: string[]): Promise<Map<string, Finding>> {
  const { code, stdout, stderr } = await run(cluster, "doctor", "--output", "json", ...args);
  const { findings, counts } = z.parse(Findings, JSON.parse(stdout));
  equals(code, counts.problem > 0 ? 255 : 0, stderr);
  equals(counts.problem, findings.filter(({ state }) => state === "problem").length);
  for (const { state, hints, check } of findings) equals(hints.length > 0, state !== "ok", `${check}: ${hints}`);
  return new Map(findings.map((finding) => [finding.check, finding]));
}

function is(found: Map<string, Finding>, check: string, state: Finding["state"], says: RegExp): void {
  const finding = found.get(check);
  ok(finding, `${check} is not among ${[...found.keys()].join(", ")}`);
  equals(finding.state, state, JSON.stringify(finding));
  match(finding.says, says);
}

clusterTest("all is well: a line each, and exit code 0", async (cluster) => {
  const { code, stdout } = await run(cluster, "doctor");
  equals(code, 0, stdout);
  const lines = stdout.trimEnd().split("\n");
  match(lines.at(-1) ?? "", /^\d+ ok, \d+ warning, 0 problem$/);
  for (const line of lines.slice(0, -1)) match(line, /^(ok {6}|warning| {9}next:)/);
  match(stdout, /^ok {7}server: https:\S+ is Kubernetes v1\.\d+\.\S+ and answers in \d+ ms$/m);
  match(stdout, /^ok {7}port-forward: connections change to WebSocket, so port-forwards get through$/m);
});

clusterTest(
  "kubeconfig, server, credentials and namespace are red, each with what follows left out",
  async (cluster) => {
    const { directory } = cluster;
    await Deno.writeTextFile(`${directory}/broken`, "clusters: [");
    const broken = await examine({ ...cluster, kubeconfig: `${directory}/broken` });
    is(broken, "kubeconfig", "problem", /broken/);
    ok(!broken.has("server") && broken.has("method inject-tcp"), "the machine is looked at nevertheless");
    is(await examine(cluster, "--context", "nowhere"), "kubeconfig", "problem", /nowhere/);

    const config = JSON.stringify({
      "current-context": "away",
      contexts: [{ name: "away", context: { cluster: "away" } }],
      clusters: [{ name: "away", cluster: { server: "https://127.0.0.1:1" } }],
    });
    await Deno.writeTextFile(`${directory}/away`, config);
    const away = await examine({ ...cluster, kubeconfig: `${directory}/away` });
    is(away, "server", "problem", /127\.0\.0\.1:1.*refused/i);
    ok(!away.has("credentials"));

    const unknown = await examine(await withToken(cluster, "nobody-has-this-token"));
    is(unknown, "credentials", "problem", /Unauthorized/);
    ok(!unknown.has("namespace"));

    const nowhere = await examine(cluster, "--namespace", "nowhere");
    is(nowhere, "namespace", "problem", /^there is no namespace "nowhere"$/);
    ok(!nowhere.has("pod security"));
  },
);

clusterTest(
  "every right is red for who has none, with the command that grants it; and what takes rights is not tried",
  async (cluster) => {
    await withNamespace(cluster, "doctor", async (namespace) => {
      const found = await examine(
        await withToken(cluster, await makeUser(cluster, namespace)),
        "--namespace",
        namespace,
      );
      is(found, "namespace", "ok", /may not be looked at/);
      const rightsIn = (checks: typeof found) =>
        [...checks.values()].filter(({ check }) => check.startsWith("right to "));
      const rights = rightsIn(found);
      const askedFor = rightsIn(await examine(cluster, "--namespace", namespace)).map(({ check }) => check);
      ok(askedFor.length > 0);
      equals(rights.map(({ check }) => check), askedFor);
      for (const { check, state, says, hints } of rights) {
        ok(state !== "ok", check);
        const [, verbs = "", resource = ""] = /^right to (.*) (\S+)$/.exec(check) ?? [];
        match(says, new RegExp(`^you may not ${verbs}: `));
        match(
          hints[0] ?? "",
          new RegExp(`kubectl create role NAME --verb=${verbs.replaceAll(", ", ",")} --resource=${resource} `),
        );
      }
      const severe = rights.filter(({ state }) => state === "problem").map(({ check }) => check.split(" ").at(-1));
      equals(severe, ["configmaps", "deployments.apps", "pods", "pods/portforward"], "what every session needs");
      is(found, "pod security", "warning", /not tried, as you may not create pods/);
      is(found, "quota", "warning", /not tried, as you may not create pods/);
      is(found, "port-forward", "warning", /not tried, as you may not watch pods/);
      is(found, "objects in the cluster", "warning", /not looked for/);
    });
  },
);

clusterTest(
  "a quota without room, and a limit that the pod does not meet, are told in the server's words",
  async (cluster) => {
    await withNamespace(cluster, "doctor", async (namespace) => {
      const { kube } = cluster;
      const name = "none";
      await kube.create(resourceQuotas, { metadata: { name, namespace }, spec: { hard: { pods: "0" } } });
      await until("the quota is known", async () => {
        return JSON.stringify(await kube.get(resourceQuotas, { namespace, name })).includes('"used"');
      });
      const full = await examine(cluster, "--namespace", namespace);
      is(full, "pod security", "ok", /would be admitted/);
      is(full, "quota", "problem", /exceeded quota: none, requested: pods=1, used: pods=0, limited: pods=0/);
      const limits = [{ type: "Pod", max: { memory: "1Mi" } }];
      await kube.create(limitRanges, { metadata: { name: "tight", namespace }, spec: { limits } });
      const tight = await examine(cluster, "--namespace", namespace);
      is(tight, "pod security", "problem", /maximum memory usage per Pod is 1Mi/);
      is(tight, "quota", "warning", /not tried, as the pod is refused before/);
    });
  },
);

clusterTest("something on the way that lets no WebSocket through is found out", async (cluster) => {
  const { tls } = cluster.kube.config;
  const certificate = tls.clientCertificate;
  using client = Deno.createHttpClient({
    ...(tls.caCerts && { caCerts: [tls.caCerts] }),
    ...(certificate && { cert: certificate.cert, key: certificate.key }),
  });
  for (const way of ["strips the upgrade", "refuses it"] as const) {
    await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
      const { pathname, search } = new URL(request.url);
      if (way === "refuses it" && request.headers.has("upgrade")) return new Response("<html>", { status: 426 });
      const headers = new Headers(request.headers);
      for (const name of ["upgrade", "connection", "host"]) headers.delete(name);
      for (const name of [...headers.keys()]) if (name.startsWith("sec-websocket")) headers.delete(name);
      const { method } = request;
      const body = method === "GET" ? null : await request.arrayBuffer();
      return await fetch(`${cluster.kube.config.server}${pathname}${search}`, { client, method, headers, body });
    });
    const kubeconfig = `${cluster.directory}/${way.slice(0, 4)}`;
    await Deno.writeTextFile(
      kubeconfig,
      JSON.stringify({
        "current-context": "way",
        contexts: [{ name: "way", context: { cluster: "way" } }],
        clusters: [{ name: "way", cluster: { server: `http://127.0.0.1:${server.addr.port}` } }],
      }),
    );
    const found = await examine({ ...cluster, kubeconfig });
    is(found, "server", "ok", /answers in/);
    const words = way === "refuses it" ? /HTTP status 426 \(HTTP 426\)/ : /the upgrade was lost on its way/;
    is(found, "port-forward", "problem", words);
  }
});

clusterTest("what sessions left is found: on the disk, and in the cluster", async (cluster) => {
  await withNamespace(cluster, "doctor", async (namespace) => {
    const env = { ...cluster.env, USER: "somebody" };
    const mine: Cluster = { ...cluster, env };
    is(await examine(mine, "--namespace", namespace), "objects in the cluster", "ok", /none of telepresence/);
    await using session = start(mine, ["--namespace", namespace, "--run", "sh", "-c", "echo up >&2; exec sleep 600"]);
    await session.said(/^up$/m);
    const running = await examine(mine, "--namespace", namespace);
    is(running, "objects in the cluster", "ok", /of 1 sessions: telepresence status/);
    is(running, "journals", "ok", /left nothing \(1 running\)/);
    // As after a power cut: the journal of a process that is gone.
    const entries = await Array.fromAsync(Deno.readDir(`${cluster.state}/telepresence/sessions`));
    const entry = entries.find(({ name }) => name.endsWith(".json"));
    const journal = JSON.parse(await Deno.readTextFile(`${cluster.state}/telepresence/sessions/${entry?.name}`));
    const state = `${cluster.directory}/state`;
    await Deno.mkdir(`${state}/telepresence/sessions`, { recursive: true });
    const left = { ...journal, process: { pid: 999_999_999, started: "0" } };
    await Deno.writeTextFile(`${state}/telepresence/sessions/${entry?.name}`, JSON.stringify(left));
    const gone = await examine({ ...mine, state }, "--namespace", namespace);
    is(
      gone,
      "journals",
      "warning",
      /sessions that are gone left: configmap\/telepresence-\S+-agent in doctor-.*deployment\//,
    );
    await Deno.writeTextFile(`${state}/telepresence/sessions/torn.json`, "{");
    is(await examine({ ...mine, state }, "--namespace", namespace), "journals", "warning", /Cannot read the journal/);
    session.kill("SIGTERM");
    await session.ended();

    const labels = { telepresence: "0123456789ab", "app.kubernetes.io/managed-by": "telepresence" };
    await cluster.kube.create(configMaps, { metadata: { name: "orphan", namespace, labels } });
    is(
      await examine(mine, "--namespace", namespace),
      "objects in the cluster",
      "warning",
      /without a proxy: 0123456789$/,
    );
    const claimed = { ...labels, "telepresence-claim": "deployment" };
    await cluster.kube.create(configMaps, {
      metadata: { name: "telepresence.deployment.web", namespace, labels: claimed },
      data: { by: `somebody@${Deno.hostname()}`, since: "2026-01-01T00:00:00Z", place: "{}" },
    });
    const lost = await examine(mine, "--namespace", namespace);
    is(lost, "objects in the cluster", "warning", /of you \(somebody@\S+\), and no session of this machine has them/);
  });
});
