/** What the command has of the pod: its network, its environment, its ports; and what ends it. */
import { deepStrictEqual as equals, match, ok, strictEqual as equal } from "node:assert/strict";
import { requireProgram } from "@/process/mod.ts";
import { freePort } from "../testkit/free_port.ts";
import { at, type FakeCluster, startFakeCluster, textAt, TROUBLES } from "../testkit/mod.ts";
import { appears, endedSoon, endedWith, readLog, run, type Running, start, startRunning } from "./harness.ts";

const STARTING = "T: Starting network proxy to cluster using new Deployment web";
const LOST = "T: Error: Proxy to Kubernetes exited. This is typically due to a lost connection.";

/** How the proxy's pod is lost, and how that is told. */
const LOSSES: { name: string; act: (cluster: FakeCluster) => void | Promise<void>; says: RegExp }[] = [
  {
    name: "the pod is deleted",
    act: (cluster) => cluster.deletePod(),
    says: /The proxy's pod "\S+" (?:was deleted|is being deleted)\. Waiting for the one that comes after it \.\.\./,
  },
  {
    name: "the pod is evicted",
    act: (cluster) => cluster.evictPod(),
    says: /The proxy's pod "\S+" was taken away: Evicted: The node was low on resource: memory\. [^\n]+ Waiting for /,
  },
  {
    name: "the agent is killed for its memory",
    act: (cluster) => cluster.crashPod(137, "the last thing that it wrote"),
    says: /The agent in pod "\S+" ended with exit code 137\. Waiting for the one that comes after it \.\.\./,
  },
];
const CONNECTED = /^T: Connected to the proxy's pod "(\S+)"\. Connections that were open are broken, new ones work\.$/m;

/** Asks the exposed port of the pod, as another pod would. */
async function askPod(cluster: FakeCluster, port: number): Promise<string> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port: cluster.podPort(port) ?? 1 });
  return await new Response(connection.readable).text();
}

/** A server on this machine that says the same to everybody. */
function serve(words: string): Disposable & { readonly port: number } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  void (async () => {
    for await (const connection of listener) {
      await connection.write(new TextEncoder().encode(words));
      connection.close();
    }
  })();
  return { port: listener.addr.port, [Symbol.dispose]: () => listener.close() };
}

Deno.test("a proxy's pod that is lost is followed: told, ports bound again, and the command goes on", async (t) => {
  for (const { name, act, says } of LOSSES) {
    await t.step(name, async () => {
      await using cluster = await startFakeCluster();
      using local = serve("of the host");
      const script = `echo > ${cluster.directory}/up; exec sleep 60`;
      const session = start(cluster, ["-nweb", "--expose", `${local.port}:9998`, "--run", "sh", "-c", script]);
      await appears(cluster.directory, "up");
      equal(await askPod(cluster, 9998), "of the host");
      const before = cluster.pod().metadata.name;
      await act(cluster);
      await session.said(CONNECTED);
      match(session.stderr(), says);
      equal(await askPod(cluster, 9998), "of the host");
      const [, now] = CONNECTED.exec(session.stderr()) ?? [];
      equal(now === before, name === "the agent is killed for its memory", "which pod it is");
      session.send("SIGTERM");
      equals((await session.ended).code, 143, session.stderr());
      equals(await cluster.remaining(), []);
    });
  }
});

Deno.test("a proxy's pod that is lost before the command starts is followed, and the command starts", async (t) => {
  for (const { name, act, says } of LOSSES) {
    await t.step(name, async () => {
      await using cluster = await startFakeCluster();
      const hold = cluster.faults.hold({ verb: "create", resource: "services", dryRun: false });
      const session = start(cluster, ["--expose", "9999:9998", "-nweb", "--run", "sh", "-c", "exit 4"]);
      await hold.reached;
      await act(cluster);
      hold.release();
      const { code, stderr } = await session.ended;
      equals(code, 4, stderr);
      if (CONNECTED.test(stderr)) match(stderr, says); // it may be over before the loss is noticed
      equals(await cluster.remaining(), []);
    });
  }
});

/** Why no other pod comes, and what is said of it. */
const ENDS: {
  name: string;
  before?: (cluster: FakeCluster) => void;
  act: (cluster: FakeCluster) => void;
  says: RegExp;
}[] = [
  {
    name: "the Deployment is deleted",
    act: (cluster) => cluster.remove("deployments", "web"),
    says:
      /^T: Cause: (?:No other pod of the proxy comes|The proxy does not come back: no other pod comes): deployment "web" was deleted$/m,
  },
  {
    name: "the Deployment is deleted, and the agent cannot say goodbye",
    act: (cluster) => {
      cluster.dropCarriers();
      cluster.remove("deployments", "web");
    },
    says: /^T: Cause: No other pod of the proxy comes: deployment "web" was deleted$/m,
  },
  {
    name: "the next pod cannot have its image",
    before: (cluster) => cluster.trouble(TROUBLES.image),
    act: (cluster) => cluster.deletePod(),
    says: /^T: Cause: The proxy does not come back: its image cannot be had: ImagePullBackOff: [^]*\nT: Hint: /m,
  },
  {
    name: "the next pod's agent does not stay up",
    before: (cluster) => cluster.trouble(TROUBLES.crash),
    act: (cluster) => cluster.deletePod(),
    says: /^T: Cause: The proxy does not come back: the agent does not stay up: [^]*error: Uncaught AddrInUse/m,
  },
];

Deno.test("a proxy that is gone for good ends the command and then us with 255, and says why", async (t) => {
  for (const { name, before, act, says } of ENDS) {
    await t.step(name, async () => {
      await using cluster = await startFakeCluster();
      const session = await startRunning(cluster);
      before?.(cluster);
      act(cluster);
      const { code, stdout, stderr } = await endedSoon(session);
      equals({ code, stdout }, { code: 255, stdout: "" }, stderr);
      ok(stderr.includes(`\n${LOST}\n`), stderr);
      match(stderr, says);
      equals(await cluster.remaining(), []);
    });
  }
});

Deno.test("the exit code is the command's own, a signal's as the shell tells it", async (t) => {
  for (const [script, code] of [["exit 0", 0], ["exit 113", 113], ["kill -9 $$", 137]] as const) {
    await t.step(script, async () => {
      await using cluster = await startFakeCluster();
      await endedWith(cluster, await run(cluster, ["-nweb", "--run", "sh", "-c", script]), code, [STARTING]);
    });
  }
});

Deno.test("a command that is not there is told before anything is made", async () => {
  await using cluster = await startFakeCluster();
  await endedWith(cluster, await run(cluster, ["-nweb", "--run", "no-such-command"]), 255, [
    "T: Error: no-such-command: command not found",
    "T: Hint: No directory of PATH has such a program; one of the current directory is ./NAME",
    "T: Hint: What only a shell knows (an alias, a function) takes one: --run bash -ic 'no-such-command'",
  ]);
  equals(cluster.requests, []);
});

Deno.test("the command's environment is the pod's over the host's, and names the pod", async () => {
  await using cluster = await startFakeCluster();
  const file = `${cluster.directory}/env`;
  const options = { env: { HOME: cluster.directory, EDITOR: "vi", HOSTNAME: "host" } };
  const { code, stderr } = await run(cluster, ["-nweb", "--run", "sh", "-c", `env > ${file}`], options);
  equals(code, 0, stderr);
  const env = Object.fromEntries(
    (await Deno.readTextFile(file)).trim().split("\n").map((line) => line.split(/=(.*)/s)),
  );
  const { KUBERNETES_SERVICE_HOST, HOME, EDITOR, HOSTNAME, TELEPRESENCE_CONTAINER } = env;
  equals({ KUBERNETES_SERVICE_HOST, HOME, EDITOR, HOSTNAME, TELEPRESENCE_CONTAINER }, {
    KUBERNETES_SERVICE_HOST: "10.96.0.1",
    HOME: cluster.directory,
    EDITOR: "vi",
    HOSTNAME: "host",
    TELEPRESENCE_CONTAINER: "telepresence",
  });
  match(env["TELEPRESENCE_POD"] ?? "", /^web-\w+-\w+$/);
  equal(env["DENO_DIR"], undefined);
});

Deno.test("the command's connections come from the pod: an address of the cluster answers", async (t) => {
  await using cluster = await startFakeCluster();
  const body = new Uint8Array(8 * 1024 * 1024).map((_, index) => index * 31 >> 8);
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => new Response(body));
  cluster.route("10.96.0.10:80", server.addr.port);
  const page = `${cluster.directory}/page`;
  await t.step("with curl, 8 MiB right at every byte", async () => {
    const { code, stderr } = await run(cluster, ["-nweb", "--run", "curl", "-sS", "-o", page, "http://10.96.0.10/"]);
    equals(code, 0, stderr + readLog(cluster));
    const received = await Deno.readFile(page);
    equal(received.length, body.length);
    ok(received.every((byte, index) => byte === body[index]));
  });
  await t.step("and where nobody listens, the refusal is the pod's", async () => {
    const words = ["curl", "-s", "--max-time", "5", "http://10.96.0.11/"];
    equal((await run(cluster, ["-nweb", "--run", ...words])).code, 7); // CURLE_COULDNT_CONNECT
  });
  equals(await cluster.remaining(), []);
});

Deno.test("a connection to the cluster that is cut is opened again, and the command goes on", async () => {
  await using cluster = await startFakeCluster();
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => new Response("still there\n"),
  );
  cluster.route("10.96.0.10:80", server.addr.port);
  const [gate, page] = [`${cluster.directory}/gate`, `${cluster.directory}/page`];
  await requireProgram(["mkfifo", gate]);
  const script = `exec 3<>${gate}; read _ <&3; exec curl -sS -o ${page} http://10.96.0.10/`;
  const session = await startRunning(cluster, ["sh", "-c", script]);
  for (let round = 0; round < 3; round++) cluster.dropCarriers();
  await Deno.writeTextFile(gate, "go on\n");
  const { code, stderr } = await session.ended;
  equals(code, 0, stderr + readLog(cluster));
  equal(await Deno.readTextFile(page), "still there\n");
  equals(await cluster.remaining(), []);
});

Deno.test("a command that is told to end still has the pod's network while it does", async () => {
  await using cluster = await startFakeCluster();
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => new Response("goodbye\n"));
  cluster.route("10.96.0.10:80", server.addr.port);
  const [gate, page] = [`${cluster.directory}/gate`, `${cluster.directory}/page`];
  await requireProgram(["mkfifo", gate]);
  const end = `curl -sS -o ${page} http://10.96.0.10/; exit 9`;
  const script = `trap '${end}' TERM; exec 3<>${gate}; echo > ${cluster.directory}/trapped; read _ <&3`;
  const session = start(cluster, ["-nweb", "--run", "sh", "-c", script]);
  await appears(cluster.directory, "trapped");
  session.send("SIGTERM");
  equal((await session.ended).code, 9);
  equal(await Deno.readTextFile(page), "goodbye\n");
  equals(await cluster.remaining(), []);
});

/** A session that runs Python's web server on `host`, exposed as `expose` says; waits until it can be called. */
async function serving(cluster: FakeCluster, expose: string, host: number): Promise<Running> {
  await Deno.writeTextFile(`${cluster.directory}/here.txt`, "served by the host\n");
  const server = `import http.server, os, socketserver
os.chdir("${cluster.directory}")
class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_): pass
s = socketserver.TCPServer(("127.0.0.1", ${host}), Quiet)
open("up", "w").close()
s.serve_forever()`;
  const words = ["--expose", expose, "-nweb", "--run", "python3", "-c", server];
  const session = start(cluster, words);
  await Promise.race([appears(cluster.directory, "up"), session.ended]);
  return session;
}

Deno.test("--expose: what comes to the pod's port reaches the local server, in both forms", async (t) => {
  for (const form of ["PORT", "LOCAL:80"] as const) {
    await t.step(`--expose ${form}`, async () => {
      await using cluster = await startFakeCluster();
      const host = freePort();
      const port = form === "PORT" ? host : 80;
      const session = await serving(cluster, form === "PORT" ? `${host}` : `${host}:80`, host);
      const response = await fetch(`http://127.0.0.1:${cluster.podPort(port)}/here.txt`);
      equal(await response.text(), "served by the host\n", session.stderr());
      const [service] = cluster.objects("services");
      equal(textAt(service, "metadata", "name"), "web");
      equals(at(service, "spec", "ports"), [{ name: `port-${port}`, port, targetPort: port, protocol: "TCP" }]);
      // The Service selects the pod by the session's label.
      equals(at(service, "spec", "selector"), {
        telepresence: textAt(cluster.pod(), "metadata", "labels", "telepresence"),
      });
      session.send("SIGTERM");
      const { code, stderr } = await session.ended;
      equal(code, 143);
      ok(stderr.includes(`T: Forwarding remote port ${port} to local port ${host}.\n`), stderr);
      equals(await cluster.remaining(), []);
    });
  }
});

Deno.test("the Service is there only while the pod's ports are bound", async () => {
  await using cluster = await startFakeCluster();
  const making = cluster.faults.hold({ verb: "create", resource: "services", dryRun: false });
  const session = start(cluster, ["--expose", "9999:9998", "-nweb", "--run", "sleep", "60"]);
  await making.reached;
  ok(cluster.podPort(9998) !== undefined, "bound before the Service is made");
  making.release();
  await cluster.until("services", "the Service is there", () => true);
  const deleting = cluster.faults.hold({ verb: "delete", resource: "services" });
  session.send("SIGINT");
  await deleting.reached;
  ok(cluster.podPort(9998) !== undefined, "bound until the Service is deleted");
  deleting.release();
  equal((await session.ended).code, 130);
  equals(
    cluster.requests.filter((line) => line.startsWith("DELETE")).slice(-3).map((line) => line.split("/").at(-2)),
    ["services", "deployments", "configmaps"],
  );
  equals(await cluster.remaining(), []);
});

Deno.test("a connection that finds no local server is told once, with what --expose means", async () => {
  await using cluster = await startFakeCluster();
  const host = freePort();
  const session = start(cluster, ["--expose", `${host}:9998`, "-nweb", "--run", "sleep", "60"]);
  await cluster.until("services", "the Service is there", () => true);
  for (let count = 0; count < 2; count++) {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: cluster.podPort(9998) ?? 0 });
    await connection.read(new Uint8Array(1)).catch(() => null);
  }
  await session.said(/Nothing listens/);
  session.send("SIGINT");
  const { stderr } = await session.ended;
  equals(stderr.split("\n").filter((line) => line.includes("Nothing listens")), [
    `T: Nothing listens on 127.0.0.1:${host}, where connections to the pod's port 9998 go (--expose ${host}:9998 is ` +
    "LOCAL:REMOTE): Connection refused (os error 111)",
  ]);
  equals(await cluster.remaining(), []);
});

Deno.test("a port that the pod cannot bind ends with 255 and names the port", async () => {
  await using cluster = await startFakeCluster();
  const hold = cluster.faults.hold({ resource: "pods/portforward" });
  const running = start(cluster, ["--expose", "9997:9998", "--expose", "9999", "-nweb", "--run", "true"]);
  await hold.reached;
  using _other = cluster.listenInPod(9998);
  hold.release();
  await endedWith(cluster, await running.ended, 255, [
    STARTING,
    "T: Forwarding remote port 9998 to local port 9997.",
    "T: Forwarding remote port 9999 to local port 9999.",
    "T: Error: Cannot expose all ports:",
    "T:   port 9998: something else in the pod listens there already",
  ]);
});
