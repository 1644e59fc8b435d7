/**
 * What tests of mounts share: a real agent in this process, and the pod's files mounted by the code under test.
 *
 * @module
 */
import { deepStrictEqual as equals } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { listenForHosts } from "@/agent/mod.ts";
import { silentLog } from "@/log/mod.ts";
import { openPod, type Pod } from "@/pod/mod.ts";
import { greetAgent, keepCarriers, makeSessionKey, nameNewLink, openLink } from "@/transport/mod.ts";
import { closeQuietly } from "@/util/mod.ts";
import { openVolumes, type Volumes, type VolumesWanted, whyNoLiveMount } from "@/volumes/mod.ts";
import { requireProgram, runProgram } from "@/process/mod.ts";

/** What makes the pipes to sshfs wide. */
const LAUNCHER = fileURLToPath(new URL("../../build/shim/telepresence-launcher", import.meta.url));

const lacking = await whyNoLiveMount();
if (lacking !== undefined) {
  await Deno.stderr.write(new TextEncoder().encode(`Tests of mounts are skipped: ${lacking}\n`));
}

/** A directory of this machine, and the same directory through the agent, the tunnel and the mount. */
export interface Mounted {
  /** The directory itself. */
  readonly local: string;
  /** The directory in the mount. */
  readonly mount: string;
  readonly volumes: Volumes;
  readonly pod: Pod;
  /** Another place of the machine, for what a test needs beside. */
  readonly beside: string;
}

/** How a test's directory is mounted. */
export interface MountOptions {
  /** Where, by a place for it. @default {a temporary directory} */
  readonly at?: (beside: string) => VolumesWanted["at"];
  /** How long the path to the pod is. @default {0} */
  readonly rttMs?: number;
  /** Whether the pipes to sshfs are as they come, as where the launcher cannot be placed. @default {false} */
  readonly isNarrow?: boolean;
  /** Hears what the user would. @default {it is a failure} */
  readonly say?: (line: string) => void;
}

/** A test with a mount, after which nothing may be mounted; skipped, by name, where there can be none. */
export function mountTest(
  name: string,
  body: (mounted: Mounted, t: Deno.TestContext) => Promise<void>,
  options: MountOptions = {},
): void {
  Deno.test({ name, ignore: lacking !== undefined, fn: (t) => withMount((mounted) => body(mounted, t), options) });
}

function fail(line: string): never {
  throw new Error(line);
}

/** Runs `body` with a mount. @throws when something is still mounted afterwards */
export async function withMount(
  body: (mounted: Mounted) => Promise<void>,
  { at = () => ({ kind: "temporary" }), rttMs = 0, say = fail, isNarrow = false }: MountOptions = {},
): Promise<void> {
  const beside = await Deno.realPath(await Deno.makeTempDir({ prefix: "telepresence-machine-" }));
  const before = await fuseMounts();
  try {
    const local = `${beside}/data`;
    await Deno.mkdir(local);
    await withPod(async (pod) => {
      await using volumes = await openVolumes(pod, [local], { at: at(beside), mode: "live" }, {
        title: TITLE,
        say,
        launcher: isNarrow ? undefined : LAUNCHER,
        log: silentLog,
        signal: new AbortController().signal,
      });
      await body({ local, mount: `${volumes.root}${local}`, volumes, pod, beside });
    }, { rttMs });
    equals(await fuseMounts(), before);
  } finally {
    await Deno.remove(beside, { recursive: true });
  }
}

/**
 * Runs `body` with a pod whose agent is the real one, in this process, over TCP on loopback; with a round trip on a path
 * that is as long.
 */
export async function withPod(body: (pod: Pod) => Promise<void>, { rttMs = 0 } = {}): Promise<void> {
  const { privateKey, publicKey } = await makeSessionKey();
  await using agent = listenForHosts(0, { publicKey, version: "1", environment: {} });
  await using path = rttMs > 0 ? await openDelayLine(agent.port, rttMs) : undefined;
  const carrier = await Deno.connect({ hostname: "127.0.0.1", port: path?.port ?? agent.port });
  await greetAgent(carrier, privateKey, { version: "1" });
  await using pod = openPod(carrier);
  await body(pod);
}

async function openDelayLine(port: number, rttMs: number): Promise<AsyncDisposable & { readonly port: number }> {
  await using stack = new AsyncDisposableStack();
  const directory = await Deno.makeTempDir({ prefix: "telepresence-delay-" });
  stack.defer(() => Deno.remove(directory, { recursive: true }));
  const source = fileURLToPath(new URL("../bench/byte_delay.c", import.meta.url));
  const program = `${directory}/byte_delay`;
  await requireProgram(["gcc", "-O2", "-pthread", source, "-o", program]);
  const args = ["127.0.0.1", `${port}`, `${rttMs / 2}`];
  const child = new Deno.Command(program, { args, stdin: "null", stdout: "piped" }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  stack.defer(async () => {
    child.kill("SIGKILL");
    await child.status;
    await reader.cancel();
  });
  const { value } = await reader.read();
  const owned = stack.move();
  return { port: Number(value), [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/**
 * Runs `body` with such a pod whose carriers can all be cut at once: `cut` ends them and refuses new ones until what it
 * gives is disposed of.
 */
export async function withCuttablePod(body: (pod: Pod, cut: () => Disposable) => Promise<void>): Promise<void> {
  const { privateKey: key, publicKey } = await makeSessionKey();
  await using agent = listenForHosts(0, { publicKey, version: "1", environment: {} });
  const open = new Set<Deno.TcpConn>();
  let isCut = false;
  const dial = async () => {
    if (isCut) throw new Error("There is no way to the pod now");
    const carrier = await Deno.connect({ hostname: "127.0.0.1", port: agent.port });
    open.add(carrier);
    return carrier;
  };
  const name = nameNewLink();
  const duplex = await dial();
  await greetAgent(duplex, key, { version: "1", name });
  const link = openLink({ graceMs: 60_000 });
  const keeping = keepCarriers(link, { name, duplex }, { dial, key, version: "1" });
  {
    await using pod = openPod(link);
    await body(pod, () => {
      isCut = true;
      for (const carrier of open) closeQuietly(carrier);
      open.clear();
      return { [Symbol.dispose]: () => void (isCut = false) };
    });
  }
  await keeping;
}

/** What the table of mounts calls those of this run: another run, or a session, beside it is none of its affair. */
export const TITLE = `test-${Deno.pid}`;

/** The mounts on this machine that are of this run. */
export async function fuseMounts(): Promise<string[]> {
  const table = await Deno.readTextFile("/proc/self/mountinfo");
  return table.split("\n").filter((line) => line.includes(` - fuse.sshfs ${TITLE}:/ `)).map((line) =>
    line.split(" ")[4] ?? ""
  );
}

/** Runs a program of a test. @throws when it fails, with all that it said */
export async function mustRun(...command: [string, ...string[]]): Promise<string> {
  const { code, stdout, stderr } = await runProgram(command);
  equals(code, 0, `${command.join(" ")} ended with ${code}\n${stdout}\n${stderr}`);
  return stdout;
}
