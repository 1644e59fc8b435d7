/** The tunnel on a real cluster: what is lost below it, and what the user sees of that. */
import { deepStrictEqual as equals, match } from "node:assert/strict";
import { pods } from "@/kube/mod.ts";
import { runProgram } from "@/process/mod.ts";
import { sleep } from "@/util/mod.ts";
import { ensureCluster } from "../cluster/mod.ts";
import { type Cluster, embeddedTest, IMAGES, leavesNothing, type Running, start, until } from "./harness.ts";

/** Gives back what it is sent, for as many connections as come. */
const ECHO = `
import socket, threading
def serve(c):
    while True:
        d = c.recv(65536)
        if not d: break
        c.sendall(d)
    c.shutdown(socket.SHUT_WR)
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("0.0.0.0", 7007))
s.listen(64)
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
`;

/** Sends numbered blocks over one connection and checks each that comes back, until a line on its standard input. */
const CLIENT = `
import socket, sys, threading, time
c = socket.create_connection((sys.argv[1], 7007))
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
sent = [0]
def block(n): return (b"%08d" % n) * 2048
def send():
    while not stop.is_set():
        c.sendall(block(sent[0]))
        sent[0] += 1
        time.sleep(0.002)
    c.shutdown(socket.SHUT_WR)
threading.Thread(target=send, daemon=True).start()
n = 0
while True:
    want, got = block(n), b""
    while len(got) < len(want):
        d = c.recv(len(want) - len(got))
        if not d: break
        got += d
    if not got: break
    if got != want: sys.exit("block %d is wrong" % n)
    n += 1
    if n % 200 == 0: print("mark %d" % (n // 200), file=sys.stderr, flush=True)
if n != sent[0]: sys.exit("%d blocks went and %d came back" % (sent[0], n))
print("all %d blocks are right" % n)
`;

/** A pod that echoes, for the time of `body`. */
async function withEcho(cluster: Cluster, body: (address: string) => Promise<void>): Promise<void> {
  const name = `echo-${crypto.randomUUID().slice(0, 8)}`;
  const where = { namespace: cluster.namespace, name };
  const { tools: image, pullPolicy: imagePullPolicy } = IMAGES;
  await cluster.kube.create(pods, {
    metadata: where,
    spec: {
      terminationGracePeriodSeconds: 1,
      containers: [{ name: "echo", image, imagePullPolicy, command: ["python3", "-c", ECHO] }],
    },
  });
  try {
    let address: string | undefined;
    await until("the echo server runs", async () => {
      const { status } = await cluster.kube.get(pods, where);
      address = status.podIP;
      return status.phase === "Running" && address !== undefined;
    });
    await body(address ?? "");
  } finally {
    await cluster.kube.delete(pods, where, { gracePeriodSeconds: 0 });
  }
}

/** Runs the client while `disturb` does its worst, and proves that the connection went on and lost nothing. */
async function survives(cluster: Cluster, disturb: (running: Running) => Promise<void>): Promise<void> {
  await leavesNothing(cluster, () =>
    withEcho(cluster, async (address) => {
      await using running = start(cluster, ["--verbose", "--run", "python3", "-c", CLIENT, address]);
      await running.said(/mark 2\b/);
      await disturb(running);
      await goesOn(running);
      await running.stdin.write(new TextEncoder().encode("stop\n"));
      const { code, stdout, stderr } = await running.ended();
      equals(code, 0, stderr);
      match(stdout, /^all \d+ blocks are right$/m);
    }));
}

/** Waits until blocks come back that were sent after now. */
async function goesOn(running: Running): Promise<void> {
  const [, mark = "0"] = /.*mark (\d+)/s.exec(running.heard()) ?? [];
  await running.said(new RegExp(`mark ${Number(mark) + 3}\\b`));
}

embeddedTest(
  "a connection goes on while the API server is restarted, and no byte is lost or doubled",
  async (cluster) => {
    await survives(cluster, async () => await (await ensureCluster()).restart("kube-apiserver"));
  },
);

embeddedTest("a connection goes on while the kubelet, which cuts every port-forward, is restarted", async (cluster) => {
  await survives(cluster, async () => await (await ensureCluster()).restart("kubelet"));
});

embeddedTest("a connection goes on after a black hole, in which packets vanish without a word", async (cluster) => {
  const { instance } = await ensureCluster();
  await survives(cluster, async () => {
    await using _hole = await openBlackHole(instance.nodeAddress);
    await sleep(20_000); // longer than a silent peer is borne, so that every carrier is given up
  });
});

/** Drops every packet to and from an address until it is disposed of. */
async function openBlackHole(address: string): Promise<AsyncDisposable> {
  const table = `telepresence_test_${Deno.pid}`;
  const rules = `table ip ${table} {
    chain out { type filter hook output priority 0; ip daddr ${address} drop; }
    chain in { type filter hook input priority 0; ip saddr ${address} drop; }
  }`;
  const nft = async (script: string) => {
    const { code, stderr } = await runProgram(["nft", "-f", "-"], { input: script });
    if (code !== 0) throw new Error(`nft fails: ${stderr}`);
  };
  await nft(rules);
  return { [Symbol.asyncDispose]: () => nft(`delete table ip ${table}`) };
}
