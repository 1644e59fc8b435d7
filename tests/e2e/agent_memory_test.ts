/** The agent's container has a memory limit: whatever a session carries, and however slowly it is read, it keeps it. */
import { deepStrictEqual as equals, match, ok } from "node:assert/strict";
import { pods } from "@/kube/mod.ts";
import { type Cluster, embeddedTest, IMAGES, start, until, withNamespace } from "./harness.ts";

/** What `AGENT_RESOURCES` gives the container, and what is left of it at least. */
const LIMIT_BYTES = 256 * 1024 * 1024;
const MARGIN_BYTES = 32 * 1024 * 1024;

/**
 * What both ends of a stream do: write without a pause and, beside it, read so fast at first that windows grow, then
 * not at all until every buffer between the two is full, then to the end.
 */
const BOTH = `
import socket, sys, threading, time
TOTAL, CHUNK = 48 << 20, bytes(range(256)) * 1024
def write(c):
    for _ in range(TOTAL // len(CHUNK)): c.sendall(CHUNK)
    c.shutdown(socket.SHUT_WR)
def both(c):
    writing = threading.Thread(target=write, args=(c,), daemon=True)
    writing.start()
    count, stopped = 0, False
    while True:
        if count > TOTAL // 8 and not stopped:
            stopped = True
            time.sleep(8)
        got = c.recv(1 << 18)
        if not got: break
        count += len(got)
    writing.join()
    return count
`;

const SERVER = `${BOTH}
def flood():
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.bind(("0.0.0.0", 7008))
    while True:
        payload, peer = u.recvfrom(65535)
        for _ in range(8): u.sendto(payload, peer)
threading.Thread(target=flood, daemon=True).start()
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("0.0.0.0", 7007))
s.listen(64)
while True: threading.Thread(target=both, args=(s.accept()[0],), daemon=True).start()
`;

/** Eight streams and a flood of datagrams, none of which is read before the flood is over; then says what came. */
const CLIENT = `${BOTH}
host, counts = sys.argv[1], []
def stream(): counts.append(both(socket.create_connection((host, 7007))))
streams = [threading.Thread(target=stream, daemon=True) for _ in range(8)]
for each in streams: each.start()
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.connect((host, 7008))
until, sent = time.monotonic() + 4, 0
while time.monotonic() < until:
    u.send(bytes(1200))
    sent += 1
u.settimeout(5)
came = len(u.recv(65535))
for each in streams: each.join()
said = "carried %d streams of %d bytes, %d datagrams there, one of %d bytes back"
print(said % (len(counts), min(counts), sent, came), file=sys.stderr, flush=True)
sys.stdin.readline()
`;

embeddedTest("the agent keeps its memory limit under eight full streams both ways and a flood", async (cluster) => {
  await withNamespace(cluster, "memory", (namespace) =>
    withServer(cluster, namespace, async (address) => {
      const words = ["--namespace", namespace, "--new-deployment", "memory"];
      await using running = start(cluster, [...words, "--run", "python3", "-c", CLIENT, address]);
      await until("all is carried", () => Promise.resolve(/^carried|Traceback|^T: Error/m.test(running.heard())), 300);
      match(running.heard(), /^carried 8 streams of 50331648 bytes, \d{4,} datagrams there, one of 1200 bytes back$/m);
      const { items } = await cluster.kube.list(pods, { namespace, labelSelector: "telepresence" });
      const [agent] = items.flatMap(({ status }) => status.containerStatuses);
      ok(agent);
      equals([items.length, agent.restartCount, agent.lastState], [1, 0, {}]);
      const { limit, peak } = await memoryOf(agent.containerID);
      equals(limit, LIMIT_BYTES);
      ok(peak > 64e6 && peak < limit - MARGIN_BYTES, `${peak} of ${limit} bytes were used`);
      equals((await running.ended()).code, 0);
    }));
});

/** Runs `body` beside a pod that is the other end of all; it goes with its namespace. */
async function withServer(
  { kube }: Cluster,
  namespace: string,
  body: (address: string) => Promise<void>,
): Promise<void> {
  const where = { namespace, name: "server" };
  const { tools: image, pullPolicy: imagePullPolicy } = IMAGES;
  await kube.create(pods, {
    metadata: where,
    spec: {
      terminationGracePeriodSeconds: 1,
      containers: [{ name: "server", image, imagePullPolicy, command: ["python3", "-c", SERVER] }],
    },
  });
  let address: string | undefined;
  await until("the other end runs", async () => {
    const { status } = await kube.get(pods, where);
    address = status.podIP;
    return status.phase === "Running" && address !== undefined;
  });
  await body(address ?? "");
}

/** What the kernel says of a container's memory, as its node is this machine: by the cgroup of its first process. */
async function memoryOf(containerId: string): Promise<{ limit: number; peak: number }> {
  const id = containerId.replace(/^\w+:\/\//, "");
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const groups = await Deno.readTextFile(`/proc/${name}/cgroup`).catch(() => ""); // it may have ended
    if (id === "" || !groups.includes(id)) continue;
    const read = async (file: string) => Number(await Deno.readTextFile(`/sys/fs/cgroup/${file}`));
    const [, first] = /^\d+:memory:\/(.+)$/m.exec(groups) ?? [];
    if (first !== undefined) {
      const [limit, peak] = ["limit", "max_usage"].map((what) => read(`memory/${first}/memory.${what}_in_bytes`));
      return { limit: await limit ?? 0, peak: await peak ?? 0 };
    }
    const [, second] = /^0::\/(.+)$/m.exec(groups) ?? [];
    return { limit: await read(`${second}/memory.max`), peak: await read(`${second}/memory.peak`) };
  }
  throw new Error(`No process is in a cgroup of container ${id}`);
}
