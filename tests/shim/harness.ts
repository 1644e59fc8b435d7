import { deepStrictEqual as equals } from "node:assert/strict";
import { type Capture, type InjectOptions, startInject } from "@/capture/mod.ts";
import { makeLog } from "@/log/mod.ts";
import { type FakeCluster, type FakePod, makeFakePod } from "./fake_pod.ts";

const here = new URL(".", import.meta.url).pathname;

/** A program under the shim: what it wrote and how it ended. */
export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A capture over a fake pod, and programs to run in it. */
export interface World extends AsyncDisposable {
  readonly pod: FakePod;
  readonly capture: Capture;
  /** The lines of the session's log. */
  readonly log: readonly string[];
  /** Runs a program under the shim to its end. */
  run(command: readonly [string, ...string[]], options?: RunOptions): Promise<Ran>;
  /** Compiles a C program of this folder and gives its path. */
  compile(source: string, flags?: readonly string[], compiler?: string): Promise<string>;
}

/** Options of {@linkcode World.run}. */
export interface RunOptions {
  readonly env?: Record<string, string>;
  readonly input?: Uint8Array<ArrayBuffer>;
}

const built = new Map<string, Promise<Uint8Array<ArrayBuffer>>>();

/** The shim, made by its own Makefile with these variables; once in a test file. That without any is the program's own. */
export function buildShim(...variables: readonly string[]): Promise<Uint8Array<ArrayBuffer>> {
  const key = variables.join(" ");
  const existing = built.get(key) ?? (async () => {
    if (variables.length === 0) {
      await requireRun("make", ["-s", "-C", `${here}../../shim`]);
      return await Deno.readFile(`${here}../../build/shim/libtelepresence.so`);
    }
    const out = await Deno.makeTempDir({ prefix: "telepresence-test-" });
    try {
      await requireRun("make", ["-s", "-C", `${here}../../shim`, `OUT=${out}`, ...variables]);
      return await Deno.readFile(`${out}/libtelepresence.so`);
    } finally {
      await Deno.remove(out, { recursive: true });
    }
  })();
  built.set(key, existing);
  return existing;
}

/** Starts a capture over a fake cluster. */
export async function openWorld(cluster: FakeCluster, options: Partial<InjectOptions> = {}): Promise<World> {
  await using stack = new AsyncDisposableStack();
  const pod = makeFakePod(cluster);
  const log: string[] = [];
  const capture = stack.use(
    await startInject(pod, {
      shim: await buildShim(),
      log: makeLog((line) => log.push(line), { verbose: true }),
      ...options,
    }),
  );
  const programs = await Deno.makeTempDir({ prefix: "telepresence-test-" });
  stack.defer(() => Deno.remove(programs, { recursive: true }));
  const owned = stack.move();
  return {
    pod,
    capture,
    log,
    run: (command, { env = {}, input } = {}) =>
      runToEnd(command, capture.environment({ PATH: Deno.env.get("PATH") ?? "", ...env }), input),
    async compile(source, flags = [], compiler = "gcc") {
      const program = `${programs}/${source.replace(/\.c$/, "")}-${compiler}`;
      const gcc = ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1", "-pthread"];
      await requireRun(compiler, [...gcc, ...flags, `${here}${source}`, "-o", program]);
      return program;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Runs a program with exactly this environment to its end. */
export async function runToEnd(
  [wanted, ...args]: readonly [string, ...string[]],
  env: Record<string, string>,
  input?: Uint8Array<ArrayBuffer>,
): Promise<Ran> {
  const program = wanted === "deno" ? Deno.execPath() : wanted;
  const child = new Deno.Command(program, {
    args,
    env,
    clearEnv: true,
    stdin: input ? "piped" : "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const [{ code, stdout, stderr }] = await Promise.all([child.output(), feed(child, input)]);
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Runs a program with exactly this environment, shows its output as it grows, and gives the lines of it. */
export async function runWatched(
  [program, ...args]: readonly [string, ...string[]],
  env: Record<string, string>,
  see: (text: string) => void,
): Promise<string[]> {
  const child = new Deno.Command(program, { args, env, clearEnv: true, stdin: "null", stdout: "piped" }).spawn();
  let text = "";
  for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) see(text += part);
  await child.status;
  return text.trimEnd().split("\n");
}

async function feed(child: Deno.ChildProcess, input: Uint8Array<ArrayBuffer> | undefined): Promise<void> {
  if (input) await ReadableStream.from([input]).pipeTo(child.stdin);
}

async function requireRun(program: string, args: string[]): Promise<void> {
  const { code, stderr } = await new Deno.Command(program, { args, stdout: "null", stderr: "piped" }).output();
  if (code !== 0) throw new Error(`${program} ended with ${code}: ${new TextDecoder().decode(stderr)}`);
}

/** Whether a program can be found, for tests of programs that not every machine has. */
export async function hasProgram(program: string): Promise<boolean> {
  if (program === "deno") return true; // we run in it
  const { success } = await new Deno.Command("sh", { args: ["-c", `command -v ${program}`], stdout: "null" }).output();
  return success;
}

/** A server on the host's loopback, which stands for a service of the cluster. */
export interface Service extends AsyncDisposable {
  readonly port: number;
}

/** Serves a text over HTTP. */
export function serveText(text: string): Service {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => new Response(text));
  return { port: server.addr.port, [Symbol.asyncDispose]: () => server.shutdown() };
}

/** Serves TCP connections, each by a function that owns it. */
export function serveTcp(serve: (conn: Deno.TcpConn) => Promise<void>): Service {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 4096 });
  const serving = new Set<Promise<void>>();
  const loop = (async () => {
    for await (const conn of listener) {
      const call = serve(conn).catch(() => {}).finally(() => serving.delete(call));
      serving.add(call);
    }
  })();
  return {
    port: listener.addr.port,
    async [Symbol.asyncDispose]() {
      listener.close();
      await loop;
      await Promise.all(serving);
    },
  };
}

/** Serves an echo that ends its direction when the peer has ended its own. */
export function serveEcho(): Service {
  return serveTcp(async (conn) => {
    using echo = conn;
    const buffer = new Uint8Array(64 * 1024);
    for (let count; (count = await echo.read(buffer)) !== null;) {
      for (let offset = 0; offset < count;) offset += await echo.write(buffer.subarray(offset, count));
    }
  });
}

/** Where the volume is in the pod; nothing is there on this machine. */
export const VOLUME = "/telepresence-test-volume";

/** A plain directory that stands for a volume of the pod. */
export interface Volume extends AsyncDisposable {
  readonly directory: string;
  /** Where the volume is on the host; its name has what words of the protocol cannot have. */
  readonly volume: string;
  /** The entries of the volume, sorted, where nothing else was made beside it. */
  left(): Promise<string[]>;
}

/** Makes a directory with what tests/shim/files.c looks for. */
export async function makeVolume(): Promise<Volume> {
  const directory = await Deno.makeTempDir({ prefix: "telepresence-test-" });
  const volume = `${directory}/a volume of 100% é`;
  await Deno.mkdir(`${volume}/sub`, { recursive: true });
  await Deno.writeTextFile(`${volume}/file`, "hello\n");
  await Deno.writeTextFile(`${volume}/sub/deep`, "deep\n");
  await Deno.symlink("file", `${volume}/link`);
  await Deno.copyFile("/bin/echo", `${volume}/run`);
  await Deno.chmod(`${volume}/run`, 0o755);
  const names = async (path: string) => (await Array.fromAsync(Deno.readDir(path))).map(({ name }) => name).sort();
  return {
    directory,
    volume,
    async left() {
      equals(await names(directory), ["a volume of 100% é"]);
      return await names(volume);
    },
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}
