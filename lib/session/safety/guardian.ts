/**
 * The guardian: a process of its own that undoes what its session wrote down when the session is gone without having
 * done so itself (`kill -9`, out of memory, a crash of the runtime).
 *
 * Theory of operation. It is started before the first change, in a session of its own, so that neither Ctrl-C nor a
 * closed terminal reaches it. Over its standard input it gets, as lines of JSON, the way to the cluster (credentials
 * too: they are on no command line and in no file), then the journal at each change, then a goodbye. The pipe ends when
 * the session's process does, however that ends, and the kernel keeps what was written: so at its end, without a
 * goodbye, the last journal says what is left to be undone.
 *
 * @module
 */
import {
  type Authorities,
  authoritiesOf,
  type ClusterConfig,
  openKubeClient,
  type RuntimeAuthorities,
} from "@/kube/mod.ts";
import { type Log, silentLog } from "@/log/mod.ts";
import { type Helper, startHelper } from "@/process/mod.ts";
import { messageOf, sleep, splitLines, UserError, visible } from "@/util/mod.ts";
import { removeRecord } from "./journal.ts";
import { identifyProcess, isRunning, type ProcessIdentity } from "./process_identity.ts";
import { leftoverOf, type SessionRecord } from "./record.ts";
import { makeCleanUp, undoAll } from "./undo.ts";

/** What a session tells its guardian. */
type Message =
  | { readonly kind: "hello"; readonly cluster: ClusterConfig; readonly path: string; readonly terminal?: string }
  | { readonly kind: "journal"; readonly record: SessionRecord }
  | { readonly kind: "child"; readonly process: ProcessIdentity }
  | { readonly kind: "goodbye" };

/** A guardian that watches over this process. Disposing it says goodbye. */
export interface Guardian extends AsyncDisposable {
  /** Hands it the journal. */
  tell(record: SessionRecord): Promise<void>;
  /** Hands it the user's process, which is to end with the session. */
  tellChild(pid: number): Promise<void>;
  /** Whether it still watches. */
  isThere(): boolean;
}

/** What starting needs. */
export interface GuardianOptions {
  /** How this program is started again as a guardian. */
  readonly command: readonly [string, ...string[]];
  readonly cluster: ClusterConfig;
  /** The journal's file. */
  readonly path: string;
  /** The user's terminal, as a path, where what the guardian does is told. */
  readonly terminal?: string | undefined;
  readonly log: Log;
}

/**
 * Starts the guardian.
 *
 * @throws {UserError} when it cannot be started: then nothing is to be changed
 */
export async function startGuardian({ command, cluster, path, terminal, log }: GuardianOptions): Promise<Guardian> {
  const helper: Helper = startHelper(command, { log });
  const send = async (message: Message) => {
    try {
      await helper.write(new TextEncoder().encode(`${JSON.stringify(message)}\n`));
    } catch (cause) {
      throw new UserError(`Cannot reach the guardian process: ${messageOf(cause)}`, { cause });
    }
  };
  const itself = identifyProcess(helper.pid);
  await send({ kind: "hello", cluster, path, ...(terminal !== undefined && { terminal }) });
  return {
    tell: (record) => send({ kind: "journal", record }),
    async tellChild(pid) {
      const process = identifyProcess(pid);
      if (process !== undefined) await send({ kind: "child", process });
    },
    isThere: () => itself !== undefined && isRunning(itself),
    async [Symbol.asyncDispose]() {
      await send({ kind: "goodbye" }).catch((error) => log.info(messageOf(error)));
      await helper.close();
    },
  };
}

/** What the guardian itself is given. */
export interface GuardOptions {
  /** Its standard input. */
  readonly input: ReadableStream<Uint8Array>;
  /** Tells the user on a terminal; nobody where there is none. */
  readonly say: (line: string, terminal: string | undefined) => void;
  /** As that of a session, told before anything is asked of the API server. */
  chooseAuthorities?(wanted: Authorities): RuntimeAuthorities;
  readonly log?: Log;
  /** How long the cluster may be out of reach. @default {10 min} */
  readonly patienceMs?: number;
}

const PATIENCE_MS = 10 * 60_000;
/** Between two attempts at everything. */
const PAUSE_MS = 2000;
/** What the session asked for in its last moment may still be under way to the server's store. */
const IN_FLIGHT_MS = 500;
/** How long the user's process has between SIGTERM and SIGKILL. */
const CHILD_MS = 2000;

/**
 * Watches until the session ends; then undoes what it left.
 *
 * @returns the exit code: 0 when nothing is left
 */
export async function guard(options: GuardOptions): Promise<number> {
  const last: { hello?: Message & { kind: "hello" }; record?: SessionRecord; child?: ProcessIdentity } = {};
  const lines = options.input.pipeThrough(new TextDecoderStream()).pipeThrough(splitLines());
  for await (const line of lines) {
    const message = parseMessage(line);
    if (message === undefined) continue; // the last one, cut off with who wrote it: what it announces was not begun
    if (message.kind === "goodbye") return 0;
    if (message.kind === "hello") last.hello = message;
    if (message.kind === "journal") last.record = message.record;
    if (message.kind === "child") last.child = message.process;
  }
  const ending = last.child === undefined ? Promise.resolve() : endChild(last.child);
  const { hello, record } = last;
  if (hello === undefined || record === undefined || record.steps.length === 0) {
    await ending;
    if (hello !== undefined) await removeRecord(hello.path);
    return 0;
  }
  const say = (line: string) => options.say(visible(line), hello.terminal); // it goes to the terminal as it is
  say(`telepresence was killed. Giving back: ${record.steps.map(leftoverOf).join(", ")}`);
  const [code] = await Promise.all([undoForAnother(hello, record, { ...options, say }), ending]);
  return code;
}

/** Our own program's words, over a pipe that is ours alone. @returns undefined for a line that has no end */
function parseMessage(line: string): Message | undefined {
  try {
    return JSON.parse(line) as Message;
  } catch {
    return undefined;
  }
}

async function undoForAnother(
  { cluster, path }: Message & { kind: "hello" },
  record: SessionRecord,
  options: GuardOptions & { say: (line: string) => void },
): Promise<number> {
  const { say, log = silentLog, patienceMs = PATIENCE_MS } = options;
  const runtimeAuthorities = options.chooseAuthorities?.(authoritiesOf(cluster)) ?? "some";
  await using kube = openKubeClient(cluster, { log, runtimeAuthorities });
  await sleep(IN_FLIGHT_MS);
  const end = performance.now() + patienceMs;
  for (let steps = record.steps;;) {
    const { namespace, sessionId } = record;
    const undoing = { kube, log, say, namespace, sessionId, cleanUp: { ...makeCleanUp(), told: true } };
    const strike = (step: typeof steps[number]) => {
      steps = steps.filter((one) => one !== step);
      return Promise.resolve();
    };
    const failures = await undoAll({ steps }, strike, undoing);
    if (failures.length === 0) {
      await removeRecord(path);
      say("Everything was given back.");
      return 0;
    }
    if (performance.now() > end) {
      for (const { message, hints } of failures) [message, ...hints].forEach((line) => say(line));
      return 255;
    }
    await sleep(PAUSE_MS);
  }
}

/** Ends the user's process: it ran in a pod that is gone. */
async function endChild(child: ProcessIdentity): Promise<void> {
  // SIGUSR1 is the launcher's word for killing its whole group; by then it has noticed the loss of its parent itself.
  for (const signal of ["SIGTERM", "SIGUSR1", "SIGKILL"] as const) {
    if (!isRunning(child)) return;
    try {
      Deno.kill(child.pid, signal);
    } catch {
      return; // gone between the two lines above
    }
    for (let waited = 0; waited < CHILD_MS && isRunning(child); waited += 50) await sleep(50);
  }
}
