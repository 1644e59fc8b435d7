/**
 * `make bench`, the start: how long the program takes to say its version and to reach the cluster, from each delivery,
 * in interleaved rounds beside what others do for it; and what a session costs while nothing happens. Prints the table
 * of `docs/benchmarks.md`, "Start".
 *
 * @module
 */
import { loadKubeconfig, openKubeClient, pods } from "@/kube/mod.ts";
import { requireProgram } from "@/process/mod.ts";
import { sleep } from "@/util/mod.ts";
import { AGENT_IMAGE } from "../../version.ts";
import { ensureCluster } from "../cluster/mod.ts";
import { lines, median, print, PROGRAM, show } from "./setting.ts";

const ROUNDS = Number(Deno.env.get("ROUNDS") ?? 3);
/** Starts are short, so there are more of them. */
const STARTS = 10 * ROUNDS;
/** Over how long a session is idle. */
const IDLE_S = 10;
/** Of the kernel's times in /proc (proc(5)): USER_HZ of every Linux. */
const TICKS_PER_S = 100;

type Command = readonly [string, ...string[]];

const { kubeconfig, kubectl } = await ensureCluster();
const SOURCES: Command = [
  Deno.execPath(),
  "run",
  "--allow-all",
  "--no-config",
  PROGRAM.replace(/telepresence$/, "main.js"),
];
const ONE_FILE: Command = [PROGRAM];
const directory = await Deno.makeTempDir({ prefix: "telepresence-bench-" });
const options = {
  cwd: directory,
  env: { KUBECONFIG: kubeconfig, XDG_STATE_HOME: `${directory}/state`, DENO_NO_UPDATE_CHECK: "1" },
} as const;
try {
  await requireProgram([...ONE_FILE, "--version"], options); // it unpacks itself
  await print(await versions());
  await print(await firstRequests());
  await print(await idle());
} finally {
  await Deno.remove(directory, { recursive: true });
}

/** Milliseconds that a command takes, from its start to its end. */
async function time(command: Command): Promise<number> {
  const began = performance.now();
  await requireProgram(command, options);
  return performance.now() - began;
}

/** A row of a table: the median, and the best, which other work on the machine changes least. */
function row(name: string, taken: readonly number[]): string {
  return `| ${name} | ${show(median(taken))} | ${show(Math.min(...taken))} |`;
}

/** Takes turns, so that what else the machine does is the same for all. */
async function interleaved(rounds: number, ways: Readonly<Record<string, () => Promise<number>>>): Promise<string[]> {
  const taken = new Map<string, number[]>(Object.keys(ways).map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, measure] of Object.entries(ways)) taken.get(name)?.push(await measure());
  }
  return [...taken].map(([name, numbers]) => row(name, numbers));
}

async function versions(): Promise<string> {
  const rows = await interleaved(STARTS, {
    "`telepresence --version`, one file": () => time([...ONE_FILE, "--version"]),
    "the same by `deno run main.js`": () => time([...SOURCES, "--version"]),
    "`deno --version`": () => time([Deno.execPath(), "--version"]),
    "`kubectl version --client`": () => time([...kubectl, "version", "--client"]),
  });
  return ["\n## Start\n", `| ms, of ${STARTS} | median | best |`, "| --- | --- | --- |", ...rows].join("\n");
}

async function firstRequests(): Promise<string> {
  await using kube = openKubeClient(await loadKubeconfig({ env: { KUBECONFIG: kubeconfig } }));
  /** From the creation of a pod of the agent's image, without us, to Ready. */
  const barePod = async () => {
    const where = { namespace: "default", name: `bench-${crypto.randomUUID().slice(0, 8)}` };
    const container = { name: "bare", image: AGENT_IMAGE, command: ["deno", "eval", "setInterval(() => {}, 1000)"] };
    const began = performance.now();
    await kube.create(pods, {
      metadata: where,
      spec: { terminationGracePeriodSeconds: 0, containers: [{ ...container, imagePullPolicy: "IfNotPresent" }] },
    });
    try {
      for (;;) {
        const { status } = await kube.get(pods, where);
        if (status.conditions.some(({ type, status }) => type === "Ready" && status === "True")) break;
        await sleep(20);
      }
      return performance.now() - began;
    } finally {
      await kube.delete(pods, where, { gracePeriodSeconds: 0 });
    }
  };
  /** From the start of the program to the first byte of what the command says: an answer of the cluster. */
  const first = async (command: Command) => {
    const script = "curl -sf http://helloworld.default >/dev/null && echo answered";
    const began = performance.now();
    const child = new Deno.Command(command[0], {
      args: [...command.slice(1), "--run", "sh", "-c", script],
      ...options,
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const { value } = await lines(child.stdout).next();
    const took = performance.now() - began;
    await child.status;
    return value === "answered" ? took : NaN;
  };
  const rows = await interleaved(ROUNDS, {
    "one file, to the first answer of the cluster": () => first(ONE_FILE),
    "`deno run main.js`, the same": () => first(SOURCES),
    "a bare pod of the agent's image, from its creation to Ready": barePod,
  });
  return ["", `| ms, of ${ROUNDS} | median | best |`, "| --- | --- | --- |", ...rows].join("\n");
}

/** What a session takes while its command sleeps. */
async function idle(): Promise<string> {
  const before = await agents();
  const child = new Deno.Command(PROGRAM, {
    args: ["--run", "sh", "-c", "echo up; read _"],
    ...options,
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const out = lines(child.stdout);
  await out.next();
  await sleep(5_000); // the start's garbage
  const agent = (await agents()).find((pid) => !before.includes(pid));
  const [host, pod] = [await usage(child.pid), agent === undefined ? undefined : await usage(agent)];
  await sleep(IDLE_S * 1000);
  const [hostNow, podNow] = [await usage(child.pid), agent === undefined ? undefined : await usage(agent)];
  await child.stdin.close();
  await child.status;
  await out.return(undefined);
  const line = (name: string, now: Usage | undefined, then: Usage | undefined) => {
    if (now === undefined || then === undefined) return `| ${name} | not found | |`;
    const share = (now.ticks - then.ticks) / TICKS_PER_S / IDLE_S * 100;
    return `| ${name} | ${share.toFixed(2)} | ${show(now.megabytes)} |`;
  };
  return [
    "",
    `| idle, over ${IDLE_S} s | % of a CPU | resident memory, MB |`,
    "| --- | --- | --- |",
    line("the program", hostNow, host),
    line("the agent", podNow, pod),
  ].join("\n");
}

interface Usage {
  readonly ticks: number;
  readonly megabytes: number;
}

async function usage(pid: number): Promise<Usage> {
  // Behind the name, which may hold anything: state is field 3, utime 14, stime 15 (proc(5)).
  const fields = (await Deno.readTextFile(`/proc/${pid}/stat`)).replace(/^.*\) /s, "").split(" ");
  const [, kilobytes = "NaN"] = /^VmRSS:\s+(\d+)/m.exec(await Deno.readTextFile(`/proc/${pid}/status`)) ?? [];
  return { ticks: Number(fields[11]) + Number(fields[12]), megabytes: Number(kilobytes) * 1024 / 1e6 };
}

/** Processes that are agents: pods of the embedded cluster are processes of this machine. */
async function agents(): Promise<number[]> {
  const found: number[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const words = (await Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => "")).split("\0");
    if (words.some((word) => word.endsWith("/agent.js"))) found.push(Number(name));
  }
  return found;
}
