/**
 * `make bench`: ours against `kubectl port-forward` to the same pod in the same run, in interleaved rounds, with a
 * workload inside of the cluster as the limit. Prints the tables of `docs/benchmarks.md`.
 *
 * Ours is the whole program: the C client runs under `telepresence --run`, so shim, gate, mux, link, port-forwards and
 * agent are in every number.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { type KubeClient, loadKubeconfig, openKubeClient, pods } from "@/kube/mod.ts";
import { requireProgram, runProgram } from "@/process/mod.ts";
import { sleep } from "@/util/mod.ts";
import { ensureCluster } from "../cluster/mod.ts";

const ROUNDS = Number(Deno.env.get("ROUNDS") ?? 3);
const PROGRAM = fileURLToPath(new URL("../../build/telepresence", import.meta.url));
const HERE = fileURLToPath(new URL(".", import.meta.url));
const POD = { namespace: "default", name: `bench-${crypto.randomUUID().slice(0, 8)}` };
const PORT = 7007;

/** What is measured: the client's words, and what its numbers are. */
interface Metric {
  readonly name: string;
  readonly words: (rttMs: number) => readonly [string, number];
  readonly columns: readonly string[];
}

const METRICS: readonly Metric[] = [
  { name: "down", words: () => ["down", 256], columns: ["one connection down, MB/s"] },
  { name: "up", words: () => ["up", 128], columns: ["one connection up, MB/s"] },
  { name: "down8", words: () => ["down8", 48], columns: ["eight connections down in sum, MB/s"] },
  { name: "ping", words: (rtt) => ["ping", rtt > 0 ? 100 : 1500], columns: ["ping p50, ms", "ping p99, ms"] },
  {
    name: "beside",
    words: (rtt) => ["beside", rtt > 0 ? 60 : 200],
    columns: ["ping beside a download p50, ms", "ping beside a download p99, ms", "that download, MB/s"],
  },
  { name: "burst", words: (rtt) => ["burst", rtt > 0 ? 300 : 500], columns: ["connects at once (50), per second"] },
  { name: "row", words: (rtt) => ["row", rtt > 0 ? 30 : 150], columns: ["connects in a row, per second"] },
];

/** One way to the pod: runs the client with these words and gives its numbers. */
interface Way extends AsyncDisposable {
  readonly name: string;
  measure(words: readonly string[]): Promise<number[]>;
}

/** What was started and does not end by itself. */
const children: Deno.ChildProcess[] = [];
/** The process of each way that is a program. */
const processes = new WeakMap<Way, number>();

const { kubeconfig, instance } = await ensureCluster();
const config = await loadKubeconfig({ env: { KUBECONFIG: kubeconfig } });
await using kube = openKubeClient(config);
const directory = await Deno.makeTempDir({ prefix: "telepresence-bench-" });
try {
  const load = await buildLoad();
  const address = await startPod(kube, load);
  await print(await versions(kube));
  await measureAt(0, kubeconfig, address, load);
  await measureAt(20, await delayed(kubeconfig, 20), address, load);
} finally {
  await kube.delete(pods, POD, { gracePeriodSeconds: 0 }).catch(() => {});
  for (const child of children) child.kill("SIGKILL");
  await Deno.remove(directory, { recursive: true });
}

/** A table of medians: tool by metric, and the ratio of ours to kubectl. */
async function measureAt(rttMs: number, path: string, address: string, load: Load): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const ways = [
    stack.use(openOurs(path, address, load)),
    stack.use(await openKubectl(path, load)),
    ...(rttMs === 0 ? [stack.use(inside(address))] : []),
  ];
  const lines = [
    `\n## ${rttMs} ms${rttMs > 0 ? " of round trip, bytes delayed" : ""}\n`,
    `| | ${ways.map(({ name }) => name).join(" | ")} | ours / kubectl |`,
    `| --- | ${ways.map(() => "---").join(" | ")} | --- |`,
  ];
  for (const { words, columns } of METRICS) {
    const [metric, number] = words(rttMs);
    const taken = new Map<Way, number[][]>();
    for (let round = 0; round < ROUNDS; round++) {
      for (const way of ways) {
        const numbers = await way.measure([metric, String(number)]).catch(() => [NaN]);
        taken.set(way, [...taken.get(way) ?? [], numbers]);
      }
    }
    columns.forEach((column, index) => {
      const medians = ways.map((way) => median((taken.get(way) ?? []).map((numbers) => numbers[index] ?? NaN)));
      const [ours = NaN, kubectl = NaN] = medians;
      lines.push(`| ${column} | ${medians.map(show).join(" | ")} | ${(ours / kubectl).toFixed(2)} |`);
    });
  }
  lines.push(
    `| memory of the host's program afterwards, MB | ${(await Promise.all(ways.map(memoryOf))).join(" | ")} | |`,
  );
  await print(lines.join("\n"));
}

/** Resident memory of a way's program and of the children that make it up. */
async function memoryOf(way: Way): Promise<string> {
  const pid = processes.get(way);
  if (pid === undefined) return "";
  const { stdout } = await runProgram(["ps", "-o", "rss=", "-p", String(pid)]);
  return (Number(stdout) * 1024 / 1e6).toFixed(0);
}

function openOurs(path: string, address: string, load: Load): Way {
  const child = new Deno.Command(PROGRAM, {
    args: ["--logfile", `${directory}/telepresence.log`, "--run", "sh"],
    env: { KUBECONFIG: path },
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const stdin = child.stdin.getWriter();
  const answers = lines(child.stdout);
  const way: Way = {
    name: "ours",
    async measure([metric, number]) {
      const command = `${load.dynamic} ${metric} ${address} ${PORT} ${number} || echo failed\n`;
      await stdin.write(new TextEncoder().encode(command));
      return ((await answers.next()).value ?? "").split(" ").map(Number);
    },
    async [Symbol.asyncDispose]() {
      await stdin.close();
      await child.status;
    },
  };
  processes.set(way, child.pid);
  return way;
}

async function openKubectl(path: string, load: Load): Promise<Way> {
  const child = new Deno.Command("kubectl", {
    args: ["--kubeconfig", path, "port-forward", `pod/${POD.name}`, `:${PORT}`],
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const [, port = ""] = /:(\d+) ->/.exec((await lines(child.stdout).next()).value ?? "") ?? [];
  const way: Way = {
    name: "kubectl",
    measure: ([metric = "", number = ""]) => numbersOf([load.dynamic, metric, "127.0.0.1", port, number]),
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await child.status;
    },
  };
  processes.set(way, child.pid);
  return way;
}

/** The same client in the pod itself, to the pod's own address: what the machine can do without anything between. */
function inside(address: string): Way {
  return {
    name: "in the cluster",
    async measure([metric = "", number = ""]) {
      const command = ["/tmp/load", metric, address, String(PORT), number] as const;
      const { stdout } = await kube.exec(POD, { command });
      return stdout.trim().split(" ").map(Number);
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

async function numbersOf(command: readonly [string, ...string[]]): Promise<number[]> {
  return (await requireProgram(command)).trim().split(" ").map(Number);
}

/** The client, and the server for the pod, which may have no C library. */
interface Load {
  readonly dynamic: string;
  readonly static: Uint8Array;
}

async function buildLoad(): Promise<Load> {
  const cc = ["gcc", "-O2", "-pthread", `${HERE}load.c`, "-o"] as const;
  await requireProgram([...cc, `${directory}/load`]);
  await requireProgram([...cc, `${directory}/load-static`, "-static"]);
  return { dynamic: `${directory}/load`, static: await Deno.readFile(`${directory}/load-static`) };
}

/** Starts the pod with the server in it. @returns its address */
async function startPod(kube: KubeClient, load: Load): Promise<string> {
  const script = `until [ -x /tmp/load ]; do sleep 0.2; done; exec /tmp/load serve ${PORT}`;
  await kube.create(pods, {
    metadata: POD,
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [{ name: "load", image: "tools:1", imagePullPolicy: "Never", command: ["sh", "-c", script] }],
    },
  });
  for (;;) {
    const { status } = await kube.get(pods, POD);
    if (status.phase === "Running" && status.podIP !== undefined) {
      const put = "cat >/tmp/load.part && chmod +x /tmp/load.part && mv /tmp/load.part /tmp/load";
      await kube.exec(POD, { command: ["sh", "-c", put], stdin: load.static });
      await sleep(1000);
      return status.podIP;
    }
    await sleep(200);
  }
}

/** A kubeconfig whose server is behind a delay line. */
async function delayed(path: string, rttMs: number): Promise<string> {
  const server = new URL(config.server);
  const args = ["run", "-A", "--quiet", `${HERE}delay_line.ts`, server.hostname, server.port, String(rttMs / 2)];
  const child = new Deno.Command(Deno.execPath(), { args, stdout: "piped" }).spawn();
  children.push(child);
  const port = (await lines(child.stdout).next()).value ?? "";
  const file = `${directory}/kubeconfig-${rttMs}`;
  await Deno.writeTextFile(
    file,
    (await Deno.readTextFile(path)).replace(/server: .*/, `server: https://127.0.0.1:${port}`),
  );
  return file;
}

async function versions(kube: KubeClient): Promise<string> {
  const { gitVersion } = await kube.version();
  const kubectl = (await requireProgram(["kubectl", "version", "--client"])).split("\n")[0];
  const cores = navigator.hardwareConcurrency;
  const load = Deno.loadavg()[0]?.toFixed(1);
  return `Kubernetes ${gitVersion} (embedded), kubectl: ${kubectl}, Deno ${Deno.version.deno}, ${cores} cores for everything, ` +
    `${ROUNDS} rounds, load average at the start ${load}, ${
      new Date().toISOString().slice(0, 10)
    }, cluster "${instance.name}"`;
}

async function* lines(from: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string, undefined> {
  let held = "";
  for await (const text of from.pipeThrough(new TextDecoderStream())) {
    held += text;
    for (let end; (end = held.indexOf("\n")) >= 0; held = held.slice(end + 1)) yield held.slice(0, end);
  }
  return undefined;
}

function median(values: readonly number[]): number {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? NaN;
}

function show(value: number): string {
  return Number.isNaN(value) ? "failed" : value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

async function print(text: string): Promise<void> {
  await Deno.stdout.write(new TextEncoder().encode(`${text}\n`));
}
