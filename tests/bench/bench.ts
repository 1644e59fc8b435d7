/**
 * `make bench`: ours against `kubectl port-forward` to the same pod in the same run, in interleaved rounds, with a
 * workload inside of the cluster as the limit. Prints the tables of `docs/benchmarks.md`.
 *
 * Ours is the whole program: the C client runs under `telepresence --run`, so shim, gate, mux, link, port-forwards and
 * agent are in every number.
 *
 * @module
 */
import { type KubeClient, loadKubeconfig, openKubeClient, pods } from "@/kube/mod.ts";
import { requireProgram, runProgram } from "@/process/mod.ts";
import { sleep } from "@/util/mod.ts";
import { ensureCluster } from "../cluster/mod.ts";
import {
  BESIDE,
  buildLoad,
  delayCluster,
  isWanted,
  LIMITED,
  type Load,
  median,
  openKubectl,
  openLongPath,
  openShell,
  PORT,
  print,
  PROGRAM,
  ROUNDS,
  show,
  startPod,
} from "./setting.ts";

/** At which round trips, in milliseconds: of delayed bytes, or of delayed packets (20p), for which it takes root. */
const RTTS = (Deno.env.get("RTTS") ?? "0,20,20p,80p").split(",");
/** What one way has still under way when its client has ended, kubectl some seconds of a download, is no burden of the next. */
const REST_MS = 2_000;
const POD = { namespace: "default", name: `bench-${crypto.randomUUID().slice(0, 8)}` };

/** MiB of each of the four patterned streams: `make bench-patterned` takes 2560, 10 GB in sum. */
const PATTERN_MB = Number(Deno.env.get("PATTERN_MB") ?? 64);

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
  { name: "end", words: () => ["end", 15], columns: ["end of a connection after its last byte, ms"] },
  {
    name: "stopped",
    words: () => ["stopped", 64],
    columns: ["a download alone, MB/s", "beside eight stopped readers, MB/s", "the same as a ratio"],
  },
  { name: "many", words: () => ["many", 500], columns: ["echoes over 500 open connections, per second"] },
  { name: "pattern", words: () => ["pattern", PATTERN_MB], columns: ["2 up and 2 down, each byte checked, MB/s"] },
];

/** One way to the pod: runs the client with these words and gives its numbers. */
interface Way extends AsyncDisposable {
  readonly name: string;
  measure(words: readonly string[]): Promise<number[]>;
}

/** The process of each way that is a program. */
const processes = new WeakMap<Way, number>();

const { kubeconfig, instance } = await ensureCluster();
const config = await loadKubeconfig({ env: { KUBECONFIG: kubeconfig } });
await using kube = openKubeClient(config);
const directory = await Deno.makeTempDir({ prefix: "telepresence-bench-" });
try {
  const load = await buildLoad(directory);
  const address = await startPod(kube, load, POD);
  await print(await versions(kube));
  for (const rtt of RTTS) {
    const rttMs = parseInt(rtt);
    await using path = rtt.endsWith("p") ? await openLongPath(config, { rttMs, directory }) : undefined;
    using far = rttMs > 0 && !path ? await delayCluster(config, { kubeconfig, rttMs, directory }) : undefined;
    const title = `${rttMs} ms${path ? " of round trip, packets delayed" : far ? " of round trip, bytes delayed" : ""}`;
    await measureAt(title, {
      rttMs,
      kubeconfig: far?.kubeconfig ?? kubeconfig,
      prefix: path?.prefix ?? [],
      address,
      load,
    });
  }
} finally {
  await kube.delete(pods, POD, { gracePeriodSeconds: 0 }).catch(() => {});
  await Deno.remove(directory, { recursive: true });
}

/** A table of medians: tool by metric, and the ratio of ours to kubectl. */
async function measureAt(title: string, from: From): Promise<void> {
  const { rttMs, address } = from;
  await using stack = new AsyncDisposableStack();
  const ways = [
    stack.use(openOurs("ours", PROGRAM, from)),
    stack.use(await openTheirs(from)),
    ...BESIDE.map((program, at) => stack.use(openOurs(`beside ${at + 1}`, program, from))),
    ...(rttMs === 0 ? [stack.use(inside(address))] : []),
  ];
  await print(`\n## ${title}\n`);
  await print(`| | ${ways.map(({ name }) => name).join(" | ")} | ours / kubectl |`);
  await print(`| --- | ${ways.map(() => "---").join(" | ")} | --- |`);
  for (const { words, columns } of METRICS.filter(({ name }) => isWanted(name))) {
    const [metric, number] = words(rttMs);
    const taken = new Map<Way, number[][]>();
    for (let round = 0; round < ROUNDS; round++) {
      for (const way of ways) {
        const numbers = await way.measure([metric, String(number)]).catch(() => [NaN]);
        taken.set(way, [...taken.get(way) ?? [], numbers]);
        await sleep(REST_MS);
      }
    }
    for (const [index, column] of columns.entries()) {
      const medians = ways.map((way) => median((taken.get(way) ?? []).map((numbers) => numbers[index] ?? NaN)));
      const [ours = NaN, kubectl = NaN] = medians;
      await print(`| ${column} | ${medians.map(show).join(" | ")} | ${(ours / kubectl).toFixed(2)} |`);
    }
  }
  const memory = await Promise.all(ways.map(memoryOf));
  await print(`| memory of the host's program afterwards, MB | ${memory.join(" | ")} | |`);
}

/** Resident memory of a way's program and of the children that make it up. */
async function memoryOf(way: Way): Promise<string> {
  const pid = processes.get(way);
  if (pid === undefined) return "";
  const { stdout } = await runProgram(["ps", "-o", "rss=", "-p", String(pid)]);
  return (Number(stdout) * 1024 / 1e6).toFixed(0);
}

/** From where the ways lead, and to where. */
interface From {
  readonly rttMs: number;
  readonly kubeconfig: string;
  /** What stands before every command that is to run there. */
  readonly prefix: readonly string[];
  readonly address: string;
  readonly load: Load;
}

function openOurs(name: string, program: string, { kubeconfig, prefix, address, load }: From): Way {
  const command = [...prefix, program, "--logfile", `${directory}/${name}.log`, "--run", "sh"];
  const shell = openShell(command, kubeconfig);
  const way: Way = {
    name,
    async measure([metric, number]) {
      return (await shell.run(`${load.dynamic} ${metric} ${address} ${PORT} ${number}`)).split(" ").map(Number);
    },
    [Symbol.asyncDispose]: () => shell[Symbol.asyncDispose](),
  };
  processes.set(way, shell.pid);
  return way;
}

async function openTheirs({ kubeconfig, prefix, load }: From): Promise<Way> {
  const start = async () => {
    const started = await openKubectl({ kubeconfig, prefix, pod: POD });
    processes.set(way, started.pid);
    return started;
  };
  const way: Way = {
    name: "kubectl",
    async measure([metric = "", number = ""]) {
      try {
        return await numbersOf([...prefix, ...LIMITED, load.dynamic, metric, "127.0.0.1", running.port, number]);
      } catch (error) {
        await running[Symbol.asyncDispose](); // one that stands still does so for ever: the next number is another one's
        running = await start();
        throw error;
      }
    },
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  };
  let running = await start();
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

async function numbersOf([program = "", ...words]: readonly string[]): Promise<number[]> {
  return (await requireProgram([program, ...words])).trim().split(" ").map(Number);
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
