/**
 * What tests of whole sessions share: `main()` as the program calls it, in the test's own process, on a fake cluster.
 *
 * The child's standard output is the test's own, so commands of these tests write to files; what is said on the
 * standard error is taken here. Signals are sent by hand: `deno test` keeps SIGINT for itself.
 *
 * @module
 */
import { deepStrictEqual as equals } from "node:assert/strict";
import { type Host, main, type SignalName } from "@/cli/mod.ts";
import type { openKubeClient } from "@/kube/mod.ts";
import { recover, runSession, showAgentManifest, showStatus, type Teller } from "@/session/mod.ts";
import { abortable, deadline } from "@/util/mod.ts";
import type { FakeCluster } from "../testkit/mod.ts";

/**
 * For the built program in a test that gives it another home: where it unpacked its runtime already, so that not every
 * test has a hundred megabytes of its own.
 */
export const CACHE = { XDG_CACHE_HOME: Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME") ?? "/root"}/.cache` };

/** How a run ended. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  /** What was said but for {@linkcode steps}. */
  readonly stderr: string;
  /** The steps that were told, and the line at the end. */
  readonly steps: readonly string[];
}

/** Lines that every session says the same way; `progress_test.ts` is about them, other tests about all others. */
const STEPS =
  /^T: (?:Asking https:\S+ what may be done in namespace "\S+"|Waiting for the proxy to run|Connecting to the agent in pod \S+|Giving back what the session has in the cluster|Ended after [\d.]+ s: \d+ connections?, [^\n]+)\r?\n/gm;

/** What was said but for the steps and the line at the end. */
export function withoutSteps(said: string): string {
  return said.replace(STEPS, "");
}

/** A run under way. */
export interface Running {
  readonly ended: Promise<Ended>;
  /** What was said on the standard error so far. */
  stderr(): string;
  /** Waits until the standard error has this. @throws when the run ends first, or after 10 s */
  said(words: RegExp): Promise<void>;
  send(signal: SignalName): void;
  /** Codes with which the process would have been ended at once. */
  readonly exits: readonly number[];
}

/** Options of {@linkcode start}. */
export interface StartOptions {
  /** Added to the environment; undefined takes away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** How long the proxy may take. */
  readonly readyMs?: number;
  /** How long the agent may take to answer. */
  readonly connectMs?: number;
  /** How long the API server may take to answer a create. */
  readonly createMs?: number;
  /** How long the clean-up may take. */
  readonly cleanUpMs?: number;
  /** How long a session whose workload is taken over may take to be heard of. */
  readonly heardWithinMs?: number;
  /** How the API server is spoken to. */
  readonly openKube?: typeof openKubeClient;
  /** Changes who tells the user. */
  readonly telling?: (teller: Teller) => Teller;
  /** The image of the agent. */
  readonly agentImage?: string;
  /** The machine that it runs on. */
  readonly machine?: { readonly os: string; readonly arch: string };
}

const SAID_MS = 10_000;

/** Starts the program with these words. */
export function start(cluster: FakeCluster, args: readonly string[], options: StartOptions = {}): Running {
  const { env = {}, agentImage = "denoland/deno:0.0.0", telling = (teller) => teller, ...rest } = options;
  const seen = { stdout: "", stderr: "" };
  const exits: number[] = [];
  let heard = Promise.withResolvers<void>();
  let signal: (name: SignalName) => void = () => {};
  const host: Host = {
    env: environmentOf({ PATH: Deno.env.get("PATH"), KUBECONFIG: cluster.kubeconfigPath, ...env }),
    home: cluster.directory,
    cwd: () => cluster.directory,
    version: "0.0.0-test",
    reportTo: "https://example.com/issues",
    stderrIsTerminal: false,
    columns: () => undefined,
    writeStdout: (text) => void (seen.stdout += text),
    writeStderr(text) {
      seen.stderr += text;
      heard.resolve();
      heard = Promise.withResolvers();
    },
    exit: (code) => void exits.push(code),
    listen(callback) {
      signal = callback;
      return { [Symbol.dispose]() {} };
    },
    run: (flags, around) =>
      runSession(flags, {
        ...around,
        teller: telling(around.teller),
        version: "0.0.0-test",
        agentSource: "// the fake cluster brings its own agent",
        agentImage,
        shim: readShim(),
        chooseAuthorities: () => "none", // the fake's certificate is of its own authority: the way that real runs take
        ...rest,
      }),
    command(command, around) {
      const options = { ...around, say: (line: string) => around.teller.say(line) };
      switch (command.kind) {
        case "recover":
          return recover(command, options);
        case "status":
          return showStatus(command, { ...options, version: "0.0.0-test" });
        case "agent-manifest":
          return showAgentManifest(command, { ...options, agentSource: "agent();", image: agentImage });
        default:
          throw new TypeError(`Tests of the command line do not run ${command.kind}`);
      }
    },
  };
  let over = false;
  const ended = main(withoutVolumes(args), host).then((code) => {
    over = true;
    heard.resolve();
    const steps = seen.stderr.match(STEPS)?.map((line) => line.slice("T: ".length, -1)) ?? [];
    return { code, stdout: seen.stdout, stderr: withoutSteps(seen.stderr), steps };
  });
  return {
    ended,
    exits,
    stderr: () => seen.stderr,
    send: (name) => signal(name),
    async said(words) {
      const late = Promise.withResolvers<never>();
      const words_ = `telepresence to say ${words}`;
      const timer = setTimeout(() => late.reject(new Error(`Waited in vain for ${words_}:\n${seen.stderr}`)), SAID_MS);
      try {
        while (!words.test(seen.stderr)) {
          if (over) throw new Error(`The run ended; waited for ${words_}:\n${seen.stderr}`);
          await Promise.race([heard.promise, late.promise]);
        }
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

/**
 * The pod of a fake cluster is this machine: its volumes would be the machine's own directories, and whether they can be
 * mounted depends on what is installed. Volumes have tests of their own (tests/machine, tests/e2e).
 */
function withoutVolumes(args: readonly string[]): readonly string[] {
  return args[0]?.startsWith("-") && !args.some((arg) => arg.startsWith("--mount")) ? ["--mount=false", ...args] : args;
}

/** Runs the program to its end. */
export async function run(cluster: FakeCluster, args: readonly string[], options?: StartOptions): Promise<Ended> {
  return await start(cluster, args, options).ended;
}

/** Starts a session of Deployment `web`, and waits until its command runs. */
export async function startRunning(cluster: FakeCluster, words: readonly string[] = ["sleep", "60"]): Promise<Running> {
  const session = start(cluster, [
    "-nweb",
    "--run",
    "sh",
    "-c",
    `echo > ${cluster.directory}/up; exec "$@"`,
    "sh",
    ...words,
  ]);
  await appears(cluster.directory, "up");
  return session;
}

/** What a session whose pod is known to be gone may take to end here; it has 10 s, and the time of grace is 60 s. */
const GONE_MS = 20_000;

/** Waits for the end of a session whose pod is gone for good. @throws when it does not notice, and waits for its grace */
export async function endedSoon({ ended, stderr }: Running): Promise<Ended> {
  using late = deadline(GONE_MS, () => new Error(`The session does not end within 20 s:\n${stderr()}`));
  return await abortable(ended, late.signal);
}

/** Waits until a file is in the folder. */
export async function appears(folder: string, name: string): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const watcher = stack.use(Deno.watchFs(folder));
  const timer = setTimeout(() => watcher.close(), 10_000);
  stack.defer(() => clearTimeout(timer));
  const isThere = async () => {
    for await (const entry of Deno.readDir(folder)) if (entry.name === name) return true;
    return false;
  };
  if (await isThere()) return;
  for await (const _event of watcher) if (await isThere()) return;
  throw new Error(`Waited 10 s in vain for the file ${name}`);
}

/** The run said exactly this, ended with this code, wrote nothing to the standard output and left nothing. */
export async function endedWith(cluster: FakeCluster, ended: Ended, code: number, lines: readonly string[]) {
  equals({ code: ended.code, lines: ended.stderr.split("\n") }, { code, lines: [...lines, ""] });
  equals(ended.stdout, "");
  equals(await cluster.remaining(), []);
}

/** What the session log says, for an assertion's message. */
export function readLog(cluster: FakeCluster): string {
  return Deno.readTextFileSync(`${cluster.directory}/telepresence.log`);
}

function environmentOf(given: Record<string, string | undefined>): Record<string, string> {
  return Object.fromEntries(Object.entries(given).filter((entry): entry is [string, string] => entry[1] !== undefined));
}

function readShim(): Uint8Array<ArrayBuffer> {
  return Deno.readFileSync(new URL("../../build/shim/libtelepresence.so", import.meta.url));
}
