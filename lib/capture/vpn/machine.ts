import { type Log, silentLog } from "@/log/mod.ts";
import { type Attached, runProgram, startAttached } from "@/process/mod.ts";
import { acceptAll, closeQuietly, deadline, type Duplex, messageOf, UserError, writeAll } from "@/util/mod.ts";
import { connDuplex } from "../inject/conn_duplex.ts";
import { placeProgram } from "../inject/place.ts";
import type { Endpoint } from "../inject/protocol.ts";
import { takeFirstLine } from "../namespace/first_line.ts";
import { parseAnswer, parseOpening } from "../namespace/protocol.ts";
import { type MachineRoute, parseRoutes } from "./overlap.ts";

/** Options of {@linkcode openMachine}. */
export interface MachineOptions {
  /** The helper for this machine's architecture: the bytes of the program. */
  readonly helper: Uint8Array<ArrayBuffer>;
  /** Directories for the helper and the sockets, the most wanted first. @default {["/tmp"]} */
  readonly directories?: readonly string[];
  /** The words before a command that make it root's. @default {none for root, else sudo} */
  readonly asRoot?: readonly string[];
  /** Whether rules are made by iptables though the kernel has nftables. @default {false} */
  readonly iptables?: boolean;
  /** The words before a command that have it run on the machine, where that is not ours. @default {none} */
  readonly enter?: readonly string[];
  readonly log?: Log;
}

/**
 * The helper at work as root, in a process of its own. As long as nothing is told to it, the machine is as it was. It
 * gives back what it changed when this is disposed of, and when our process is gone.
 */
export interface Machine extends AsyncDisposable {
  /** A directory that only this user enters, for files that the helper is told of. */
  readonly directory: string;
  /** Has the helper obey (netns/README.md, "The machine"). @throws {UserError} when it could not */
  tell(...words: string[]): Promise<void>;
  /** What others have taken away of what was told, in words for the user. */
  gone(): Promise<string[]>;
  /** The routes of this machine, but for ours. */
  routes(): Promise<MachineRoute[]>;
  /**
   * Reaches something in the machine's own network, whatever is captured: a connection, or datagrams as frames.
   *
   * @throws {Error} when it cannot
   */
  outside(kind: "tcp" | "udp", to: Endpoint): Promise<Duplex>;
  /** Hands on what programs of the machine begin, from now on. */
  serve(take: (conn: Duplex) => void): void;
  /** Hears, when this process goes on, that it was stopped and that questions for names went around it meanwhile. */
  whenWoken(hear: () => void): void;
  /** Resolves at disposal; rejects when the helper has ended. */
  readonly closed: Promise<void>;
}

/** How long the user may take for a password. */
const PASSWORD_MS = 5 * 60_000;
/** How long giving back may take: a handful of calls to the kernel. */
const GIVE_BACK_MS = 10_000;

/** The words that make a command root's. */
export function wordsOfRoot(): readonly string[] {
  return Deno.uid() === 0 ? [] : ["sudo", "--"];
}

/**
 * Starts the helper, for which sudo may ask the user. Nothing is changed yet.
 *
 * @throws {UserError} when it cannot be started, or another session has the machine
 */
export async function openMachine(options: MachineOptions): Promise<Machine> {
  const { helper, directories = ["/tmp"], asRoot = wordsOfRoot(), enter = [], iptables = false, log = silentLog } =
    options;
  await using stack = new AsyncDisposableStack();
  const place = stack.use(await placeProgram(helper, directories, "netns"));
  const listener = stack.use(Deno.listen({ transport: "unix", path: place.socket }));
  const inside = `${place.socket}.inside`;
  const mode = iptables ? "--iptables" : "--machine";
  const words = [...asRoot, ...enter, place.shim, mode, "--control", place.socket, "--inside", inside];
  const process = startAsRoot(words, log);
  const life = await firstConnection(listener, process);
  let woken = () => {};
  const helperAnswers = makeAnswers(life, { hear: () => woken(), log });
  stack.defer(() => giveBack(life, process));
  let take: (conn: Duplex) => void = closeQuietly;
  void acceptAll(
    listener,
    (conn) => take(connDuplex(conn)),
    (error) => log.debug(`vpn-tcp: cannot accept: ${messageOf(error)}`),
  );
  const owned = stack.move();
  let disposed = false;
  const lost = helperAnswers.closed.then(() => {
    if (!disposed) throw new UserError("The process that carries this machine's connections has ended");
  });
  lost.catch(() => {}); // who cares awaits it
  return {
    directory: place.directory,
    tell: helperAnswers.tell,
    gone: async () => wordsOfGone(await helperAnswers.ask(["look"])),
    async routes() {
      const [program = place.shim, ...words] = [...enter, place.shim];
      const { code, stdout, stderr } = await runProgram([program, ...words, "--routes"]);
      if (code !== 0) throw new UserError(`Cannot read this machine's routes: ${stderr.trim()}`);
      return parseRoutes(stdout);
    },
    outside: (kind, to) => connectOutside(inside, kind, to),
    serve: (taker) => take = taker,
    whenWoken: (hear) => woken = hear,
    closed: lost,
    async [Symbol.asyncDispose]() {
      disposed = true;
      await owned.disposeAsync();
    },
  };
}

/** @throws {UserError} when the words that make it root's are no program here */
function startAsRoot([first = "", ...rest]: readonly string[], log: Log): Attached {
  try {
    return startAttached([first, ...rest], { log });
  } catch (cause) {
    throw new UserError(`${ACT}: it needs root for a helper process: ${messageOf(cause)}`, {
      hints: ["Where there is no sudo: run telepresence as root", ...OTHERS],
      cause,
    });
  }
}

/** The life line, which the helper opens when it is ready. */
async function firstConnection(listener: Deno.UnixListener, process: Attached): Promise<Duplex> {
  using late = deadline(PASSWORD_MS, () => new UserError("Cannot use --method vpn-tcp: sudo got no password in time"));
  const { promise: tooLate, reject } = Promise.withResolvers<never>();
  late.signal.addEventListener("abort", () => reject(late.signal.reason));
  const refused = process.ended.then(({ code, stderr }) => {
    throw refusalOf(code, stderr);
  });
  refused.catch(() => {}); // when the helper was faster, its end is told otherwise
  const conn = connDuplex(await Promise.race([listener.accept(), refused, tooLate]));
  const line = await takeFirstLine(conn);
  if (line === undefined) {
    closeQuietly(conn); // it ended between the connection and the first word: why, is in its last ones
    return await Promise.race([refused, tooLate]);
  }
  if (parseOpening(line.line).kind !== "machine") {
    throw new UserError("Cannot use --method vpn-tcp: the helper does not say what it is");
  }
  return line.rest;
}

const ACT = "Cannot use --method vpn-tcp";
const OTHERS = ["--method namespace carries one command, and needs no root"];

/** Why the helper did not start (netns/README.md, "Failures"), or sudo did not start it. */
function refusalOf(code: number, stderr: string): UserError {
  const [, pid] = /^netns: busy: EBUSY: pid (\S+)/m.exec(stderr) ?? [];
  if (pid !== undefined || /^netns: nftables: EEXIST/m.test(stderr)) {
    return new UserError(
      `${ACT}: another session has this machine${pid ? ` (process ${pid})` : ""}, and there is one`,
      {
        hints: ["End that session first", ...OTHERS],
      },
    );
  }
  const [, step, errno] = /^netns: ([^:]+): (\w+)/m.exec(stderr) ?? [];
  if (step !== undefined && errno !== undefined) {
    return new UserError(`${ACT}: this system forbids it (${step}: ${errno})`, {
      hints: errno === "EPERM" ? ["In a container it needs --cap-add NET_ADMIN", ...OTHERS] : OTHERS,
    });
  }
  const words = stderr.trim().split("\n").at(-1) || `sudo ended with ${code}`;
  return new UserError(`${ACT}: it needs root for a helper process: ${words}`, { hints: OTHERS });
}

/** The only line on the life line that is no answer (netns/README.md, "The machine"). */
const NEWS = "stopped";

/** The conversation on the life line: a line, and its answer; and the news. */
function makeAnswers(life: Duplex, { hear, log }: { readonly hear: () => void; readonly log: Log }) {
  const waiting: ((answer: string | undefined) => void)[] = [];
  const decoder = new TextDecoder();
  let text = "";
  let over = false;
  const closed = (async () => {
    const buffer = new Uint8Array(4096);
    for (let count; (count = await life.read(buffer).catch(() => null)) !== null;) {
      text += decoder.decode(buffer.subarray(0, count), { stream: true });
      const lines = text.split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) {
        if (line === NEWS) hear();
        else waiting.shift()?.(line);
      }
    }
    over = true;
    for (const resolve of waiting.splice(0)) resolve(undefined);
  })();
  let writing = Promise.resolve();
  const ask = (words: readonly string[]) => {
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    if (over || words.some((word) => /\s/.test(word) || word === "")) resolve(over ? undefined : "EINVAL");
    else {
      const line = new TextEncoder().encode(`${words.join(" ")}\n`);
      waiting.push(resolve);
      writing = writing.then(() => writeAll(life, line)).catch((error) => log.debug(messageOf(error)));
    }
    return promise;
  };
  const tell = async (...words: string[]) => {
    const answer = await ask(words);
    log.debug(`${words.join(" ")}: ${answer ?? "no answer"}`);
    if (answer === "ok") return;
    throw new UserError(
      `Cannot change this machine's network (${words.join(" ")}): ${answer ?? "the helper has ended"}`,
    );
  };
  return { closed, ask, tell };
}

/** What the answer to "look" names (netns/README.md, "The machine"). */
const GONE: Readonly<Record<string, string>> = {
  table: "the nftables table telepresence",
  chains: "the chains telepresence of iptables",
  rules: "the routing rules 1741 to 1744",
  routes: "routes of the tables 29808 and 29809",
};

/** What is gone; nothing where a helper that has ended did not answer. */
function wordsOfGone(answer: string | undefined): string[] {
  const [first, ...what] = answer?.split(" ") ?? [];
  return first === "gone" ? what.map((each) => GONE[each] ?? each) : [];
}

/** Ends the helper, and waits until it has given everything back. */
async function giveBack(life: Duplex, process: Attached): Promise<void> {
  const hints = ["telepresence recover gives back what is left"];
  closeQuietly(life);
  using late = deadline(GIVE_BACK_MS, () => {
    return new UserError(`Cannot give back this machine's network: process ${process.pid} does not end`, { hints });
  });
  const { promise: tooLate, reject } = Promise.withResolvers<never>();
  late.signal.addEventListener("abort", () => reject(late.signal.reason));
  const { code, stderr } = await Promise.race([process.ended, tooLate]);
  if (code === 0) return;
  throw new UserError(`Cannot give back this machine's network: ${stderr.trim() || `exit status ${code}`}`, { hints });
}

/** Asks the helper for a socket of its own. */
async function connectOutside(path: string, kind: "tcp" | "udp", { address, port }: Endpoint): Promise<Duplex> {
  const conn = connDuplex(await Deno.connect({ transport: "unix", path }));
  try {
    await writeAll(conn, new TextEncoder().encode(`${kind === "tcp" ? "connect" : "udp"} ${address} ${port}\n`));
    const first = await takeFirstLine(conn);
    const answer = first === undefined ? "ECONNREFUSED" : parseAnswer(first.line);
    if (first !== undefined && answer === "ok") return first.rest;
    throw new Error(`Cannot reach ${address} port ${port} from this machine: ${answer}`);
  } catch (error) {
    closeQuietly(conn);
    throw error;
  }
}
