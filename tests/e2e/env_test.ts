/** The page "What gets proxied", environment variables: what the command gets of the pod's, byte for byte, and as files. */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { podVariables, SOURCE_MARK } from "@/env/mod.ts";
import { configMaps, secrets, services } from "@/kube/mod.ts";
import { type AgentPod, withAgentPod } from "./agent_pod.ts";
import { type Cluster, clusterTest, run, withNamespace } from "./harness.ts";

/** Runs `env -0` with these flags in a namespace with a Service "redis". */
async function check(
  cluster: Cluster,
  flags: readonly string[],
  body: (environment: Record<string, string>, stderr: string) => void | Promise<void>,
): Promise<void> {
  await withNamespace(cluster, "env", async (namespace) => {
    await cluster.kube.create(services, {
      metadata: { name: "redis", namespace },
      spec: { selector: { app: "redis" }, ports: [{ port: 6379 }] },
    });
    const { code, stdout, stderr } = await run(cluster, "--namespace", namespace, ...flags, "--run", "env", "-0");
    equals(code, 0, `exit code ${code}\n${stdout}\n${stderr}`);
    await body(Object.fromEntries(stdout.split("\0").slice(0, -1).map((entry) => cut(entry))), stderr);
  });
}

function cut(entry: string): [string, string] {
  const at = entry.indexOf("=");
  return [entry.slice(0, at), entry.slice(at + 1)];
}

clusterTest(
  "--env-json and --env-file write what the command gets of the pod, for their owner alone",
  async (cluster) => {
    const json = `${cluster.directory}/env.json`;
    const file = `${cluster.directory}/relative.env`;
    const set = ["--env", "LINES=1\n2", "--env", "PLAIN=a 'b' \"c\" $d=é"];
    await check(cluster, ["--env-json", json, "--env-file", "relative.env", ...set], async (environment, stderr) => {
      const written: Record<string, string> = JSON.parse(await Deno.readTextFile(json));
      match(written["REDIS_SERVICE_HOST"] ?? "", /^10\./);
      match(written["TELEPRESENCE_POD"] ?? "", /^telepresence-/);
      equals(written["LINES"], "1\n2");
      equals(["HOME", "PATH", "HOSTNAME"].filter((name) => name in written), []);
      for (const [name, value] of Object.entries(written)) equals(environment[name], value, name);
      equals(Object.keys(written), Object.keys(written).toSorted());

      const { LINES: _, ...rest } = written;
      const lines = (await Deno.readTextFile(file)).trimEnd().split("\n");
      equals(Object.fromEntries(lines.map(cut)), rest);
      match(stderr, /T: Skipped these environment keys .* have newlines:\nT: LINES\n/);
      for (const path of [json, file]) equals(((await Deno.stat(path)).mode ?? 0) & 0o777, 0o600);
    });
  },
);

clusterTest("the agent's image and runtime do not show in the command's environment", async (cluster) => {
  await check(cluster, [], async (environment) => {
    const own = Deno.env.toObject(); // and what the harness adds
    for (const name of Object.keys(environment).filter((one) => !(one in own))) {
      match(
        name,
        /^(?:.+_SERVICE_HOST|.+_SERVICE_PORT(?:_.+)?|.+_PORT(?:_\d+_.+)?|TELEPRESENCE_.+|LD_PRELOAD|NO_COLOR|KUBECONFIG|XDG_STATE_HOME)$/,
      );
    }
    match(await Deno.readTextFile(`${cluster.directory}/telepresence.log`), /as the agent's image sets them: /);
  });
});

clusterTest("--env sets and --env-unset takes away, whoever had the variable", async (cluster) => {
  const value = JSON.stringify({ quotes: "\"'`", lines: "a\nb\r\n\tc", text: "é😀\u2028", filler: "x".repeat(1300) });
  const all = Array.from({ length: 0x7ff }, (_, index) => String.fromCharCode(index + 1)).join("");
  const flags = [
    "--env",
    `JSON=${value}`,
    "--env",
    `ALL=${all}`,
    "--env",
    "LD_LIBRARY_PATH=/of/this/machine",
    "--env-unset",
    "REDIS_*",
    "--env-unset",
    "NO_COLO?",
  ];
  await check(cluster, flags, async (environment) => {
    equals([environment["JSON"], environment["ALL"]], [value, all]);
    equals(environment["LD_LIBRARY_PATH"], "/of/this/machine");
    equals(Object.keys(environment).filter((name) => /^REDIS_|^NO_COLOR$/.test(name)), []);
    match(environment["KUBERNETES_SERVICE_HOST"] ?? "", /^10\./);
    const log = await Deno.readTextFile(`${cluster.directory}/telepresence.log`);
    ok(!log.includes("quotes"), "the log has no value of a variable");
  });
});

clusterTest("values of each kind arrive byte for byte, and what the image brings does not", async (cluster) => {
  const { kube } = cluster;
  const json = JSON.stringify(
    { quotes: "\"'`", lines: "a\nb\r\n\tc", text: "é😀\u2028", filler: "x".repeat(1300) },
    null,
    2,
  );
  ok(json.length > 1300);
  // Every character of one byte or two but NUL; with bytes that are not UTF-8 no container is started by the kubelet.
  const all = Array.from({ length: 0x7ff }, (_, index) => String.fromCharCode(index + 1)).join("");
  const base64 = (text: string) => new TextEncoder().encode(text).toBase64();
  await withNamespace(cluster, "env", async (namespace) => {
    const data = { JSON: base64(json), ALL: base64(all), LD_DEBUG: base64("files") };
    await kube.create(secrets, { metadata: { name: "all", namespace }, data });
    await kube.create(configMaps, {
      metadata: { name: "more", namespace },
      data: { LANG: "xx", "a.b-c": "1", EMPTY: "" },
    });
    const made: AgentPod = {
      env: [
        { name: "PLAIN", value: "  a 'b' \"c\" \\n $x `y` " },
        { name: "DENO_AUTH_TOKENS", value: "the user's own" },
        { name: "FROM_SECRET", valueFrom: { secretKeyRef: { name: "all", key: "JSON" } } },
        { name: "ALL_TOO", valueFrom: { secretKeyRef: { name: "all", key: "ALL" } } },
        { name: "NODE", valueFrom: { fieldRef: { fieldPath: "metadata.namespace" } } },
        { name: "CPUS", valueFrom: { resourceFieldRef: { resource: "limits.memory", divisor: "1Mi" } } },
        { name: "POINTS", value: "$(PLAIN)-$$(PLAIN)" },
      ],
      envFrom: [
        { secretRef: { name: "all" }, prefix: SOURCE_MARK },
        { configMapRef: { name: "more" }, prefix: `${SOURCE_MARK}P_` },
      ],
    };
    await withAgentPod(cluster, namespace, made, async (pod) => {
      const names = (made.env ?? []).map(({ name }) => String(name));
      const { variables, loader, image } = podVariables(await pod.environment(), { names, sources: false });
      const links = Object.keys(variables).filter((name) => name.startsWith("KUBERNETES_"));
      ok(links.includes("KUBERNETES_SERVICE_HOST"));
      const { CPUS: memory, ...rest } = variables;
      match(memory ?? "", /^\d+$/);
      equals(Object.fromEntries(Object.entries(rest).filter(([name]) => !links.includes(name))), {
        PLAIN: "  a 'b' \"c\" \\n $x `y` ",
        DENO_AUTH_TOKENS: "the user's own",
        FROM_SECRET: json,
        JSON: json,
        ALL: all,
        ALL_TOO: all,
        NODE: namespace,
        POINTS: "  a 'b' \"c\" \\n $x `y` -$(PLAIN)",
        P_LANG: "xx",
        "P_a.b-c": "1",
        P_EMPTY: "",
      });
      equals(loader, ["LD_DEBUG"]);
      ok(image.includes("DENO_DIR") && image.every((name) => /^DENO_/.test(name)), image.join());
    });
  });
});
