/** The tunnel on a real cluster: what is lost below it, and what the user sees of that. */
import { deepStrictEqual as equals, match } from "node:assert/strict";
import { pods } from "@/kube/mod.ts";
import { ensureCluster } from "../cluster/mod.ts";
import type { Machine } from "../vpn/played_machine.ts";
import { type Cluster, embeddedTest, IMAGES, leavesNothing, type Running, start, until } from "./harness.ts";
import { startOn, vpnTest, WAIT } from "./vpn_harness.ts";

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
async function survives(
  cluster: Cluster,
  disturb: (running: Running) => Promise<void>,
  begin: (...words: string[]) => Running = (...words) => start(cluster, words),
): Promise<void> {
  await leavesNothing(cluster, () =>
    withEcho(cluster, async (address) => {
      await using running = begin("--verbose", "--logfile", "/dev/stderr", "--run", "python3", "-c", CLIENT, address);
      await running.said(/mark 2\b/);
      await disturb(running);
      await running.said(/Carrier \d is lost/); // or it was no disturbance
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

vpnTest("a connection goes on after a black hole, in which packets vanish without a word", async (on) => {
  await survives(on.cluster, async (running) => {
    await using _hole = await openBlackHole(on.machine);
    // The kernel would try for a quarter of an hour: that carriers are given up so soon is ours.
    for (const carrier of [0, 1]) {
      await running.said(new RegExp(`Carrier ${carrier} is lost: The other end has been silent for 15 s`));
    }
  }, (...words) => startOn(on.machine, on.cluster, ...words));
});

vpnTest(
  "a black hole that outlasts the grace ends the session with 255, and says what was lost for how long",
  async (on) => {
    const { cluster, machine } = on;
    await leavesNothing(cluster, async () => {
      await using running = startOn(machine, cluster, "--grace", "2", "--run", "sh", "-c", WAIT);
      await running.said(/^ready$/m);
      {
        await using _hole = await openBlackHole(machine);
        await running.said(/^T: Error: Proxy to Kubernetes exited/m);
      }
      const { code, stderr } = await running.ended();
      equals(code, 255, stderr);
      match(stderr, /The connection to the other end was lost for \d s: The other end has been silent for 15 s/);
    });
  },
);

/** Drops every packet that comes to the machine or leaves it, without a word, until it is disposed of. */
async function openBlackHole(machine: Machine): Promise<AsyncDisposable> {
  await machine.shell(`nft -f - <<end
table inet hole {
  chain out { type filter hook output priority 0; oifname wire drop; }
  chain in { type filter hook input priority 0; iifname wire drop; }
}
end`);
  return { [Symbol.asyncDispose]: async () => void await machine.shell("nft delete table inet hole") };
}
