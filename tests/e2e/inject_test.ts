/** `--method inject-tcp` on the real cluster: what only a real one can show. */
import { deepStrictEqual as equals, match, strictEqual as equal } from "node:assert/strict";
import { pods, services, waitForPod } from "@/kube/mod.ts";
import { runProgram } from "@/process/mod.ts";
import { clusterTest, embeddedTest, IMAGES, KUBECONFIG, run, start, withNamespace } from "./harness.ts";

const KUBECTL = KUBECONFIG?.replace(/kubeconfig$/, "bin/kubectl") ?? "";
const hasKubectl = await Deno.stat(KUBECTL).then(({ isFile }) => isFile, () => false);

if (hasKubectl) {
  embeddedTest(
    "kubectl works inside --run-shell, and the shell says once that it goes around the pod",
    async (cluster) => {
      await withNamespace(cluster, "kubectl", async (namespace) => {
        await using shell = start(cluster, ["--namespace", namespace, "--new-deployment", "seen", "--run-shell"]);
        await shell.stdin.write(new TextEncoder().encode(
          `for i in 1 2; do "${KUBECTL}" --kubeconfig "$KUBECONFIG" --namespace ${namespace} get pods --output name; done\n`,
        ));
        const { stdout, stderr } = await shell.ended();
        match(stdout, /^(pod\/seen-\S+\n)\1$/);
        equal(stderr.match(/kubectl" goes around the pod: it is a Go program/g)?.length, 1, stderr);
      });
    },
  );
} else {
  Deno.test.ignore("kubectl works inside --run-shell (skipped: the cluster's kubectl is not here)", () => {});
}

clusterTest("a connection has the pod's address for its own, and a server may bind to it", async (cluster) => {
  await withNamespace(cluster, "inject", async (namespace) => {
    const script = `
import socket, sys
tcp = socket.create_connection(("helloworld.${cluster.namespace}", 80))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.connect((tcp.getpeername()[0], 53))
print(tcp.getsockname()[0], udp.getsockname()[0])
s = socket.socket(); s.bind((tcp.getsockname()[0], 0)); print(s.getsockname()[0])
print(socket.gethostbyaddr(tcp.getpeername()[0])[0])
sys.stderr.write("waiting\\n"); sys.stderr.flush()
input()
`;
    await using running = start(cluster, ["--namespace", namespace, "--run", "python3", "-c", script]);
    await running.said(/waiting/);
    const { items: [pod] } = await cluster.kube.list(pods, { namespace });
    await running.stdin.write(new TextEncoder().encode("\n"));
    const { code, stdout, stderr } = await running.ended();
    const own = pod?.status["podIP"];
    equals([code, stdout], [
      0,
      `${own} ${own}\n127.0.0.1\nhelloworld.${cluster.namespace}.svc.cluster.local\n`,
    ], stderr);
  });
});

const hasRedis = await Promise.all(
  ["redis-cli", "redis-server"].map((program) => Deno.stat(`/usr/bin/${program}`).then(() => true, () => false)),
).then((found) => found.every(Boolean));

if (hasRedis) {
  embeddedTest("redis-cli talks to a real server in the cluster, and has its pod's refusal", async (cluster) => {
    await withNamespace(cluster, "redis", async (namespace) => {
      const { kube } = cluster;
      const name = "redis";
      // The node's files are this machine's: the server is Debian's, in a pod of its own.
      const server = ["chroot", "/node", "redis-server", "--bind", "0.0.0.0", "--protected-mode", "no", "--save", ""];
      await kube.create(pods, {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name, namespace, labels: { app: name } },
        spec: {
          containers: [{
            name,
            image: IMAGES.tools,
            imagePullPolicy: IMAGES.pullPolicy,
            command: server,
            volumeMounts: [{ name: "node", mountPath: "/node", readOnly: true }],
            readinessProbe: { tcpSocket: { port: 6379 }, periodSeconds: 1 },
          }],
          volumes: [{ name: "node", hostPath: { path: "/" } }],
          terminationGracePeriodSeconds: 0,
        },
      });
      await kube.create(services, {
        apiVersion: "v1",
        kind: "Service",
        metadata: { name, namespace },
        spec: { selector: { app: name }, ports: [{ port: 6379 }] },
      });
      const { status } = await waitForPod(kube, {
        namespace,
        labelSelector: `app=${name}`,
        signal: AbortSignal.timeout(60_000),
      });
      const script = `redis-cli -h redis set greeting "from outside"; redis-cli -h redis.${namespace} get greeting
        redis-cli -h "$(getent hosts redis | cut -d' ' -f1)" incr count; redis-cli -h ${status.podIP} -p 1 ping`;
      const words = ["--namespace", namespace, "--method", "inject-tcp", "--run", "sh", "-c", script];
      const { code, stdout, stderr } = await run(cluster, ...words);
      equals([code, stdout], [1, "OK\nfrom outside\n1\n"], stderr);
      match(stderr, /:1: Connection refused/);
    });
  });
} else {
  Deno.test.ignore("redis-cli talks to a real server in the cluster (skipped: redis is not installed)", () => {});
}

clusterTest("--never-proxy leaves a name on this machine, and no other", async (cluster) => {
  await withNamespace(cluster, "inject", async (namespace) => {
    const name = `helloworld.${cluster.namespace}`;
    const script = `curl -sS http://${name}; echo $?; curl -sS http://${name}.svc | grep -c 'Hello, world!'`;
    const words = ["--namespace", namespace, "--never-proxy", name, "--run", "sh", "-c", script];
    const { code, stdout, stderr } = await run(cluster, ...words);
    equals([code, /^6\n[1-9]\d*\n$/.test(stdout)], [0, true], `${stdout}\n${stderr}`); // CURLE_COULDNT_RESOLVE_HOST
  });
});

const isRoot = Deno.uid() === 0 && (await runProgram(["ip", "-V"]).catch(() => ({ code: 1 }))).code === 0;

/** A network of its own behind this machine, with a server that tells each caller its address. */
async function openOutside(link: string) {
  await using stack = new AsyncDisposableStack();
  const name = `tp-out-${crypto.randomUUID().slice(0, 6)}`;
  const must = async (...words: [string, ...string[]]) => {
    const { code, stderr } = await runProgram(words);
    if (code !== 0) throw new Error(`${words.join(" ")}: ${stderr}`);
  };
  const forward = async (device: string) => {
    const path = `/proc/sys/net/ipv4/conf/${device}/forwarding`;
    const before = await Deno.readTextFile(path);
    await Deno.writeTextFile(path, "1");
    stack.defer(() => Deno.writeTextFile(path, before).catch(() => {})); // it may be gone, with the network
  };
  await must("ip", "netns", "add", name);
  stack.defer(() => must("ip", "netns", "delete", name));
  await must("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name);
  await must("ip", "address", "add", "10.113.77.1/30", "dev", name);
  await must("ip", "link", "set", name, "up");
  await must("ip", "-n", name, "address", "add", "10.113.77.2/30", "dev", "eth0");
  await must("ip", "-n", name, "link", "set", "eth0", "up");
  await must("ip", "-n", name, "route", "add", "default", "via", "10.113.77.1");
  await forward(link);
  await forward(name);
  const server = new Deno.Command("ip", {
    args: ["netns", "exec", name, "python3", "-c", SERVER],
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const reader = server.stdout.getReader();
  stack.defer(async () => {
    server.kill("SIGKILL");
    reader.releaseLock();
    await server.stdout.cancel();
    await server.status;
  });
  await reader.read(); // it listens
  const owned = stack.move();
  return { [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

const SERVER = `
import socket
s = socket.create_server(("10.113.77.2", 8080)); print("listening", flush=True)
while True:
    c, peer = s.accept(); c.sendall(peer[0].encode()); c.close()
`;

const CALLER = `
import socket
print(socket.create_connection(("10.113.77.2", 8080), timeout=20).makefile().read())
`;

if (isRoot) {
  embeddedTest(
    "a server outside sees the pod for the command, and this machine for a program beside it",
    async (cluster) => {
      // The node stands for its pods outside of the cluster's network (SNAT), at the end of this cable.
      const { stdout } = await runProgram([
        "ip",
        "-4",
        "-o",
        "route",
        "get",
        new URL(cluster.kube.config.server).hostname,
      ]);
      const [, node = "", link = ""] = /^(\S+) dev (\S+)/.exec(stdout) ?? [];
      await using _outside = await openOutside(link);
      const beside = await runProgram(["python3", "-c", CALLER]);
      equal(beside.stdout, "10.113.77.1\n", beside.stderr);
      const ended = await run(cluster, "--method", "inject-tcp", "--run", "python3", "-c", CALLER);
      equals([ended.code, ended.stdout], [0, `${node}\n`], ended.stderr);
    },
  );
} else {
  Deno.test.ignore("a server outside sees the pod for the command (skipped: root and iproute2 are needed)", () => {});
}
