/**
 * What the benches share: a pod with the server of `load.c` in it, the client, a delayed way to the API server, and the
 * numbers' form.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { type ClusterConfig, type KubeClient, pods } from "@/kube/mod.ts";
import { requireProgram } from "@/process/mod.ts";
import { sleep } from "@/util/mod.ts";

/** The built program. */
export const PROGRAM = fileURLToPath(new URL("../../build/telepresence", import.meta.url));
const HERE = fileURLToPath(new URL(".", import.meta.url));
/** How many rounds there are. */
export const ROUNDS = Number(Deno.env.get("ROUNDS") ?? 3);
/** Other builds of ours beside this one, to see what a change does: the paths of their programs. */
export const BESIDE: readonly string[] = Deno.env.get("BESIDE")?.split(",").filter((path) => path !== "") ?? [];
const ONLY = Deno.env.get("ONLY")?.split(",");
/** What takes longer has failed: kubectl stands still for ever beside readers that have stopped. */
export const LIMITED = ["timeout", "120"] as const;
/** Where the server in the pod listens. */
export const PORT = 7007;

/** Whether a metric is wanted: one of `ONLY`, or any. */
export function isWanted(name: string): boolean {
  return ONLY?.includes(name) ?? true;
}

/** The client, and the server for the pod, which may have no C library. */
export interface Load {
  readonly dynamic: string;
  readonly static: Uint8Array;
}

/** Builds both in a directory. */
export async function buildLoad(directory: string): Promise<Load> {
  const cc = ["gcc", "-O2", "-pthread", `${HERE}load.c`, "-o"] as const;
  await requireProgram([...cc, `${directory}/load`]);
  await requireProgram([...cc, `${directory}/load-static`, "-static"]);
  return { dynamic: `${directory}/load`, static: await Deno.readFile(`${directory}/load-static`) };
}

/** Starts the pod with the server in it. @returns its address */
export async function startPod(
  kube: KubeClient,
  load: Load,
  where: { readonly namespace: string; readonly name: string },
): Promise<string> {
  const script = `until [ -x /tmp/load ]; do sleep 0.2; done; exec /tmp/load serve ${PORT}`;
  await kube.create(pods, {
    metadata: where,
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [{ name: "load", image: "tools:1", imagePullPolicy: "Never", command: ["sh", "-c", script] }],
    },
  });
  for (;;) {
    const { status } = await kube.get(pods, where);
    if (status.phase === "Running" && status.podIP !== undefined) {
      const put = "cat >/tmp/load.part && chmod +x /tmp/load.part && mv /tmp/load.part /tmp/load";
      await kube.exec(where, { command: ["sh", "-c", put], stdin: load.static });
      await sleep(1000);
      return status.podIP;
    }
    await sleep(200);
  }
}

/** A way to the API server each direction of which takes half of `rttMs`. Disposing it ends it. */
export interface DelayedCluster extends Disposable {
  /** The path of its kubeconfig. */
  readonly kubeconfig: string;
}

/** Puts the server of a kubeconfig behind a delay line of bytes (byte_delay.c). */
export async function delayCluster(
  { server }: ClusterConfig,
  { kubeconfig, rttMs, directory }: { kubeconfig: string; rttMs: number; directory: string },
): Promise<DelayedCluster> {
  const { hostname, port: serverPort } = new URL(server);
  await requireProgram(["gcc", "-O2", "-pthread", `${HERE}byte_delay.c`, "-o", `${directory}/byte_delay`]);
  const args = [hostname, serverPort, String(rttMs / 2)];
  const child = new Deno.Command(`${directory}/byte_delay`, { args, stdout: "piped" }).spawn();
  const port = (await lines(child.stdout).next()).value ?? "";
  const file = `${directory}/kubeconfig-${rttMs}`;
  const text = await Deno.readTextFile(kubeconfig);
  await Deno.writeTextFile(file, text.replace(/server: .*/, `server: https://127.0.0.1:${port}`));
  return { kubeconfig: file, [Symbol.dispose]: () => child.kill("SIGKILL") };
}

/** A network namespace with a long path to this machine. Disposing it takes it away. */
export interface LongPath extends AsyncDisposable {
  /** What stands before a command that is to run at its far end. */
  readonly prefix: readonly string[];
}

/**
 * Makes a place from which packets to the API server take half of `rttMs` each way (packet_delay.c): there TCP is what
 * it is over a real path. For root on Linux.
 */
export async function openLongPath(
  { server }: ClusterConfig,
  { rttMs, directory }: { rttMs: number; directory: string },
): Promise<LongPath> {
  await using stack = new AsyncDisposableStack();
  const name = `tp-bench-${Deno.pid}`;
  const { hostname } = new URL(server);
  await requireProgram(["gcc", "-O2", "-pthread", `${HERE}packet_delay.c`, "-o", `${directory}/packet_delay`]);
  await requireProgram(["ip", "netns", "add", name]);
  stack.defer(async () => void await requireProgram(["ip", "netns", "delete", name]));
  const args = [name, String(rttMs / 2)];
  const child = new Deno.Command(`${directory}/packet_delay`, { args, stdout: "piped" }).spawn();
  stack.defer(async () => {
    child.kill("SIGKILL");
    await child.status;
  });
  const out = lines(child.stdout);
  if ((await out.next()).value !== "ready") throw new Error("Cannot delay packets: packet_delay has ended");
  stack.defer(async () => void await out.return(undefined));
  const [, towards = ""] = / dev (\S+)/.exec(await requireProgram(["ip", "route", "get", hostname])) ?? [];
  for (const device of ["tp-delay0", towards]) {
    const file = `/proc/sys/net/ipv4/conf/${device}/forwarding`;
    const before = await Deno.readTextFile(file);
    await Deno.writeTextFile(file, "1");
    if (device === towards) stack.defer(() => Deno.writeTextFile(file, before));
  }
  const owned = stack.move();
  return { prefix: ["ip", "netns", "exec", name], [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** A session whose command is a shell. Disposing it ends both. */
export interface Shell extends AsyncDisposable {
  readonly pid: number;
  /** Runs a script. @returns the line that it printed, `failed` when it printed none */
  run(script: string): Promise<string>;
}

/** Starts one: the command ends with `--run sh`. */
export function openShell([program = "", ...args]: readonly string[], kubeconfig: string): Shell {
  const env = { KUBECONFIG: kubeconfig };
  const child = new Deno.Command(program, { args, env, stdin: "piped", stdout: "piped", stderr: "null" }).spawn();
  const stdin = child.stdin.getWriter();
  const answers = lines(child.stdout);
  return {
    pid: child.pid,
    async run(script) {
      await stdin.write(new TextEncoder().encode(`said=$(${script}); echo "\${said:-failed}"\n`));
      return (await answers.next()).value ?? "";
    },
    async [Symbol.asyncDispose]() {
      await stdin.close().catch(() => {}); // it may have ended by itself
      await child.status;
    },
  };
}

/** A `kubectl port-forward` to the load's port of a pod. Disposing it ends it. */
export interface Kubectl extends AsyncDisposable {
  readonly pid: number;
  /** Where it listens on the loopback. */
  readonly port: string;
}

/** Starts one. */
export async function openKubectl(
  { kubeconfig, prefix, pod }: {
    readonly kubeconfig: string;
    readonly prefix: readonly string[];
    readonly pod: { readonly namespace: string; readonly name: string };
  },
): Promise<Kubectl> {
  const [command = "", ...words] = [...prefix, "kubectl", "--kubeconfig", kubeconfig, "--namespace", pod.namespace];
  const args = [...words, "port-forward", `pod/${pod.name}`, `:${PORT}`];
  const child = new Deno.Command(command, { args, stdout: "piped", stderr: "null" }).spawn();
  const [, port = ""] = /:(\d+) ->/.exec((await lines(child.stdout).next()).value ?? "") ?? [];
  return {
    pid: child.pid,
    port,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await child.status;
    },
  };
}

/** The lines of a stream, as they come. */
export async function* lines(from: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string, undefined> {
  let held = "";
  for await (const text of from.pipeThrough(new TextDecoderStream())) {
    held += text;
    for (let end; (end = held.indexOf("\n")) >= 0; held = held.slice(end + 1)) yield held.slice(0, end);
  }
  return undefined;
}

/** The middle one; NaN when there is none. */
export function median(values: readonly number[]): number {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? NaN;
}

/** A number as the tables have it. */
export function show(value: number): string {
  return Number.isNaN(value) ? "failed" : value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

/** Prints a part of the tables. */
export async function print(text: string): Promise<void> {
  await Deno.stdout.write(new TextEncoder().encode(`${text}\n`));
}
