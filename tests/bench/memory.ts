/**
 * What a session holds, at both ends: resident memory and descriptors at rest, after bulk, with 500 connections open, and
 * after 10 000 that were opened and closed; beside them `kubectl port-forward`. `make bench` runs it, for the page
 * `docs/benchmarks.md`.
 *
 * @module
 */
import { type KubeClient, loadKubeconfig, openKubeClient, pods } from "@/kube/mod.ts";
import { requireProgram } from "@/process/mod.ts";
import { sleep } from "@/util/mod.ts";
import { ensureCluster } from "../cluster/mod.ts";
import {
  BESIDE,
  buildLoad,
  LIMITED,
  type Load,
  openKubectl,
  openShell,
  PORT,
  print,
  PROGRAM,
  startPod,
} from "./setting.ts";

/** Connections that are open at a time. */
const OPEN = 500;
/** Connections that are opened and closed, 50 at a time. */
const PASSING = 10_000;
/** The runtime gives back what it has no use for once it is quiet: the link looks each second. */
const QUIET_MS = 4_000;

/** One way to the pod, and the processes that make it up. */
interface Way extends AsyncDisposable {
  readonly name: string;
  measure(metric: string, number: number): Promise<string>;
  /** Of each of its processes. */
  held(): Promise<Held[]>;
}

/** What a process holds. */
interface Held {
  readonly megabytes: number;
  readonly descriptors: number;
}

const { kubeconfig } = await ensureCluster();
const config = await loadKubeconfig({ env: { KUBECONFIG: kubeconfig } });
await using kube = openKubeClient(config);
const namespace = "default";
const directory = await Deno.makeTempDir({ prefix: "telepresence-bench-" });
const pod = { namespace, name: `bench-${crypto.randomUUID().slice(0, 8)}` };
try {
  const load = await buildLoad(directory);
  const to = { load, address: await startPod(kube, load, pod) };
  await using stack = new AsyncDisposableStack();
  const ways = [
    stack.use(await openOurs("host and agent", PROGRAM, to)),
    ...await Promise.all(BESIDE.map(async (program, at) => stack.use(await openOurs(`beside ${at + 1}`, program, to)))),
    stack.use(await openTheirs(to)),
  ];
  await print(`\n| resident memory in MB (descriptors) | ${ways.map(({ name }) => name).join(" | ")} |`);
  await print(`| --- | ${ways.map(() => "---").join(" | ")} |`);
  await row("at rest", ways);
  for (const way of ways) for (const metric of ["down", "up"]) await way.measure(metric, 256);
  for (const way of ways) await way.measure("down8", 32);
  await sleep(QUIET_MS);
  await row("after 256 MiB down, 256 up and 8 x 32 down", ways);
  for (const way of ways) {
    const rate = await way.measure("many", OPEN); // its connections stay open for ten seconds
    await row(`${OPEN} connections open, ${rate} echoes per second`, ways, way);
    await sleep(QUIET_MS);
    await row(`${OPEN} connections open, a few seconds later`, ways, way);
    await sleep(10_000 - QUIET_MS);
  }
  await row("10 s after they were closed", ways);
  for (const way of ways) await way.measure("burst", PASSING).catch(() => "failed"); // kubectl may stand still
  await sleep(QUIET_MS);
  await row(`after ${PASSING} connections were opened and closed`, ways);
} finally {
  await kube.delete(pods, pod, { gracePeriodSeconds: 0 }).catch(() => {});
  await Deno.remove(directory, { recursive: true });
}

/** Prints what each way holds now, or one of them alone. */
async function row(when: string, ways: readonly Way[], one?: Way): Promise<void> {
  const cells = await Promise.all(ways.map(async (way) => {
    if (one !== undefined && way !== one) return "";
    return (await way.held()).map(({ megabytes, descriptors }) => `${megabytes.toFixed(0)} (${descriptors})`).join(
      ", ",
    );
  }));
  await print(`| ${when} | ${cells.join(" | ")} |`);
}

async function heldBy(pid: number): Promise<Held> {
  const open = await Array.fromAsync(Deno.readDir(`/proc/${pid}/fd`));
  return parseHeld(await Deno.readTextFile(`/proc/${pid}/status`), open.length);
}

/** What the agent holds, which is the first process of its container. */
async function heldByAgent(kube: KubeClient, proxy: string): Promise<Held> {
  const { items } = await kube.list(pods, { namespace });
  const name = items.find(({ metadata }) => metadata.name.startsWith(`${proxy}-`))?.metadata.name;
  if (name === undefined) throw new Error(`The pod of ${proxy} is not there`);
  const script = `console.log([...Deno.readDirSync("/proc/1/fd")].length, Deno.readTextFileSync("/proc/1/status"))`;
  const { stdout, stderr } = await kube.exec({ namespace, name }, { command: ["deno", "eval", script] });
  const [, descriptors = "", status = ""] = /^(\d+) (.*)/s.exec(stdout) ?? [];
  if (status === "") throw new Error(`The agent's status cannot be read: ${stderr}`);
  return parseHeld(status, Number(descriptors));
}

/** Reads the text of a process's `status`. */
function parseHeld(status: string, descriptors: number): Held {
  const [, kilobytes = ""] = /^VmRSS:\s*(\d+) kB$/m.exec(status) ?? [];
  return { megabytes: Number(kilobytes) * 1024 / 1e6, descriptors };
}

/** What is measured with, and where its server is. */
interface To {
  readonly load: Load;
  readonly address: string;
}

async function openOurs(name: string, program: string, { load, address }: To): Promise<Way> {
  const proxy = `bench-memory-${crypto.randomUUID().slice(0, 8)}`;
  const words = ["--logfile", `${directory}/${proxy}.log`, "--new-deployment", proxy, "--run", "sh"];
  const shell = openShell([program, ...words], kubeconfig);
  const measure = (metric: string, number: number) =>
    shell.run(`${load.dynamic} ${metric} ${address} ${PORT} ${number}`);
  await measure("ping", 1); // the session is up
  return {
    name,
    measure,
    held: async () => [await heldBy(shell.pid), await heldByAgent(kube, proxy)],
    [Symbol.asyncDispose]: () => shell[Symbol.asyncDispose](),
  };
}

async function openTheirs({ load }: To): Promise<Way> {
  const kubectl = await openKubectl({ kubeconfig, prefix: [], pod });
  return {
    name: "kubectl",
    measure: async (metric, number) =>
      (await requireProgram([...LIMITED, load.dynamic, metric, "127.0.0.1", kubectl.port, String(number)])).trim(),
    held: async () => [await heldBy(kubectl.pid)],
    [Symbol.asyncDispose]: () => kubectl[Symbol.asyncDispose](),
  };
}
