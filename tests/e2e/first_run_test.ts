/** The page "What gets proxied", sentence by sentence, as far as it is built: the first run and networking to the cluster. */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { clusterTest, type Ended, leavesNothing, PROGRAM, run, start } from "./harness.ts";
import { services } from "@/kube/mod.ts";
import { runProgram } from "@/process/mod.ts";

const PAGE = /<h1>Hello, world!<\/h1>/;

function wentWell({ code, stdout, stderr }: Ended): void {
  equals(code, 0, `exit code ${code}\n${stdout}\n${stderr}`);
}

clusterTest(
  "telepresence --run curl http://helloworld.default answers, and leaves nothing but its log",
  async (cluster) => {
    await leavesNothing(cluster, async () => {
      const ended = await run(cluster, "--run", "curl", "-sS", `http://helloworld.${cluster.namespace}`);
      wentWell(ended);
      match(ended.stdout, PAGE);
      ok(ended.stdout.startsWith("<!DOCTYPE html>"), "stdout has the page and nothing else");
      for (const line of ended.stderr.trimEnd().split("\n")) match(line, /^T: /);
    });
    const left = [];
    for await (const { name } of Deno.readDir(cluster.directory)) left.push(name);
    equals(left, ["telepresence.log"]);
    const { mode } = await Deno.stat(`${cluster.directory}/telepresence.log`);
    equals((mode ?? 0) & 0o777, 0o600);
  },
);

clusterTest(
  "without telepresence the host reaches no Service: what is reached goes through the pod",
  async (cluster) => {
    const resolved = await run(
      cluster,
      "--run",
      "python3",
      "-c",
      `import socket; print(socket.gethostbyname('helloworld.${cluster.namespace}'))`,
    );
    wentWell(resolved);
    const address = resolved.stdout.trim();
    const { spec } = await cluster.kube.get(services, { name: "helloworld", namespace: cluster.namespace });
    equals(address, spec.clusterIP);
    const direct = await runProgram(["curl", "-sS", "--max-time", "3", `http://${address}/`]);
    ok(!PAGE.test(direct.stdout), "the host has no way to the Service");
    match((await run(cluster, "--run", "curl", "-sS", `http://${address}/`)).stdout, PAGE);
  },
);

clusterTest("a Service has three DNS names, and all three answer", async (cluster) => {
  const { namespace } = cluster;
  const names = ["helloworld", `helloworld.${namespace}`, `helloworld.${namespace}.svc.cluster.local`];
  const ended = await run(cluster, "--run", "sh", "-c", names.map((name) => `curl -sS http://${name}`).join(" && "));
  wentWell(ended);
  equals(ended.stdout.match(/<h1>/g)?.length, names.length);
});

clusterTest("the exit code is the command's own", async (cluster) => {
  equals((await run(cluster, "--run", "sh", "-c", "exit 113")).code, 113);
});

clusterTest(
  "a name that the cluster does not know, and a port where nobody listens, are the program's own errors",
  async (cluster) => {
    const unknown = await run(cluster, "--run", "curl", "-sS", `http://nosuchservice.${cluster.namespace}`);
    equals(unknown.code, 6); // CURLE_COULDNT_RESOLVE_HOST
    const refused = await run(
      cluster,
      "--run",
      "curl",
      "-sS",
      `http://helloworld.${cluster.namespace}.svc.cluster.local:81`,
    );
    ok([7, 28].includes(refused.code), refused.stderr); // CURLE_COULDNT_CONNECT
  },
);

clusterTest("the environment has what Kubernetes sets in a pod", async (cluster) => {
  const ended = await run(cluster, "--run", "env");
  wentWell(ended);
  match(ended.stdout, /^KUBERNETES_SERVICE_HOST=[\d.a-f:]+$/m);
  match(ended.stdout, /^KUBERNETES_PORT_443_TCP_PROTO=tcp$/m);
  const { spec } = await cluster.kube.get(services, { name: "helloworld", namespace: cluster.namespace });
  match(ended.stdout, new RegExp(`^HELLOWORLD_SERVICE_HOST=${spec.clusterIP}$`, "m"));
  match(ended.stdout, /^TELEPRESENCE_POD=telepresence-/m);
  match(ended.stdout, new RegExp(`^HOME=${Deno.env.get("HOME")}$`, "m"));
});

clusterTest("it works in a namespace that enforces the Pod Security Standard restricted", async (cluster) => {
  await leavesNothing(cluster, async () => {
    const ended = await run(
      cluster,
      "--namespace",
      cluster.restricted,
      "--run",
      "curl",
      "-sS",
      `http://helloworld.${cluster.namespace}`,
    );
    wentWell(ended);
    match(ended.stdout, PAGE);
  });
});

clusterTest("100 MB of binary through --run cat come out equal", async (cluster) => {
  const source = `${cluster.directory}/binary`;
  wentWell(await runProgram(["dd", "if=/dev/urandom", `of=${source}`, "bs=1M", "count=100"]));
  const script = `'${PROGRAM}' --logfile /dev/null --run cat < '${source}' | cmp - '${source}'`;
  wentWell(await runProgram(["sh", "-c", script], { env: { KUBECONFIG: cluster.kubeconfig } }));
});

clusterTest("a shell reads its commands from standard input", async (cluster) => {
  await using shell = start(cluster, ["--run-shell"]);
  await shell.stdin.write(new TextEncoder().encode(`curl -sS http://helloworld.${cluster.namespace}\nexit 7\n`));
  const ended = await shell.ended();
  equals(ended.code, 7);
  match(ended.stdout, PAGE);
});

clusterTest("the bundle runs by URL: deno run -A http://127.0.0.1:PORT/main.js", async (cluster) => {
  const bundle = await Deno.readFile(new URL("../../build/main.js", import.meta.url));
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => {
    return new Response(bundle, { headers: { "content-type": "text/javascript" } });
  });
  const url = `http://127.0.0.1:${server.addr.port}/main.js`;
  const program = [Deno.execPath(), "run", "-A", "--quiet", "--no-config", url];
  await using running = start(cluster, ["--run", "curl", "-sS", `http://helloworld.${cluster.namespace}`], { program });
  const ended = await running.ended();
  wentWell(ended);
  match(ended.stdout, PAGE);
});

clusterTest("a Service made after the start is reached", async (cluster) => {
  const name = `late-${crypto.randomUUID().slice(0, 8)}`;
  await using shell = start(cluster, ["--run-shell"]);
  await shell.stdin.write(new TextEncoder().encode("echo ready >&2\n"));
  await shell.said(/ready/);
  await cluster.kube.create(services, {
    metadata: { name, namespace: cluster.namespace },
    spec: { selector: { app: "helloworld" }, ports: [{ port: 80, targetPort: 8000 }] },
  });
  try {
    const wait =
      `for i in 1 2 3 4 5 6 7 8 9 10; do curl -sSf http://${name}.${cluster.namespace} && break; sleep 1; done\n`;
    await shell.stdin.write(new TextEncoder().encode(wait));
    const ended = await shell.ended();
    wentWell(ended);
    match(ended.stdout, PAGE);
  } finally {
    await cluster.kube.delete(services, { namespace: cluster.namespace, name });
  }
});
