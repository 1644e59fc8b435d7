/** `telepresence status --watch`: the connections of the sessions of this machine, as they are. */
import { messageOf, splitLines, UserError } from "@/util/mod.ts";
import { formatBytes, formatTime } from "../account.ts";
import { journalDirectory, readJournals } from "../safety/journal.ts";
import { isRunning } from "../safety/process_identity.ts";
import { trafficSocket } from "./serve_traffic.ts";
import { parseSnapshot, type Snapshot, type ToldFlow } from "./told_flow.ts";

/** Which sessions are watched, and how they are shown. */
export interface WatchWanted {
  /** Beginnings of session ids; every session that runs on this machine when empty. */
  readonly sessions: readonly string[];
  readonly output: "text" | "json";
}

/** What watching needs. */
export interface WatchOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly home: string;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
  /** Writes to the standard output. */
  readonly print: (text: string) => void;
  /** Writes over what it wrote before, on a terminal of so many columns; undefined where that cannot be. */
  readonly frame?: ((draw: (columns: number) => string) => void) | undefined;
}

/**
 * Shows the sessions until the last of them has ended.
 *
 * @returns the exit code
 * @throws {UserError} when there is none, or one cannot be watched
 */
export async function watchSessions({ sessions, output }: WatchWanted, options: WatchOptions): Promise<number> {
  const { env, home, say, print, frame } = options;
  const directory = journalDirectory(env, home);
  const running = (await readJournals(directory, say)).filter(({ record }) =>
    isRunning(record.process) &&
    (sessions.length === 0 || sessions.some((session) => record.sessionId.startsWith(session)))
  );
  if (running.length === 0) {
    const which = sessions.length === 0 ? "" : ` whose id begins with ${sessions.join(" or ")}`;
    throw new UserError(`Cannot watch: no session${which} runs on this machine`, { hints: ["telepresence status"] });
  }
  const latest = new Map<string, Snapshot>();
  const show = (id: string, snapshot: Snapshot) => {
    const before = latest.get(id);
    latest.set(id, snapshot);
    if (output === "json") print(`${JSON.stringify(snapshot)}\n`);
    else if (frame) frame((columns) => [...latest.values()].map((each) => frameOf(each, columns)).join("\n"));
    else print(changesOf(before, snapshot));
  };
  await Promise.all(running.map(async ({ record: { sessionId } }) => {
    await follow(trafficSocket(directory, sessionId), options.signal, (snapshot) => show(sessionId, snapshot));
    if (output === "text" && frame === undefined) print(`session ${sessionId.slice(0, 10)} has ended\n`);
  }));
  return 0;
}

/** Reads the snapshots of one session to its end. @throws {UserError} when it cannot be watched */
async function follow(path: string, signal: AbortSignal, show: (snapshot: Snapshot) => void): Promise<void> {
  let conn: Deno.UnixConn;
  try {
    conn = await Deno.connect({ transport: "unix", path });
  } catch (cause) {
    throw new UserError(`Cannot watch the session: ${messageOf(cause)}`, {
      hints: ["XDG_STATE_HOME=DIRECTORY, with a short path, gives its socket another place"],
      cause,
    });
  }
  const stop = () => conn.close();
  signal.addEventListener("abort", stop, { once: true });
  try {
    const lines = conn.readable.pipeThrough(new TextDecoderStream()).pipeThrough(splitLines());
    for await (const line of lines) show(parseSnapshot(line));
  } catch (error) {
    signal.throwIfAborted();
    // A session that ends in the middle of a line.
    if (!(error instanceof Deno.errors.ConnectionReset || error instanceof SyntaxError)) throw error;
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

const HEADS = ["STATE", "WHAT", "SENT", "RECEIVED", "AGE", "BY"] as const;
/** Columns of numbers are set to the right. */
const RIGHT = [false, false, true, true, true, false];

/** A session as a table, no line of it longer than the terminal is wide. */
export function frameOf(snapshot: Snapshot, columns: number): string {
  const { session, doing, pod, at, since, totals: { opened, accepted, failed, sent, received } } = snapshot;
  const title =
    `Session ${session} (${doing}) in pod ${pod}, ${
      formatTime(at - Date.parse(since))
    }: ${opened} opened, ${accepted} from ` +
    `the cluster, ${failed} failed, ${formatBytes(sent)} sent, ${formatBytes(received)} received`;
  const rows = snapshot.flows.map((flow) => rowOf(flow, at));
  const all = [[...HEADS], ...rows];
  const widths = HEADS.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const lines = all.map((row) =>
    row.map((cell, column) => RIGHT[column] ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0))
      .join("  ").trimEnd()
  );
  return [title, ...(rows.length === 0 ? ["No connections."] : lines)].map((line) => `${cut(line, columns)}\n`).join(
    "",
  );
}

function cut(line: string, columns: number): string {
  return line.length < columns ? line : `${line.slice(0, Math.max(0, columns - 4))}...`;
}

function rowOf(flow: ToldFlow, at: number): string[] {
  const { kind, sent, received, since, until, program, pid } = flow;
  const isLookUp = kind === "lookup";
  return [
    stateOf(flow),
    whatOf(flow),
    isLookUp ? "" : formatBytes(sent),
    isLookUp ? "" : formatBytes(received),
    formatTime((until ?? at) - since),
    program === undefined ? "" : `${program} [${pid}]`,
  ];
}

/** One word for how it is: the errno where there is one. */
export function stateOf({ state, error }: ToldFlow): string {
  return error ?? state;
}

/** Where it goes, or what was asked. */
export function whatOf({ kind, host, port, name, answer }: ToldFlow): string {
  const address = host.includes(":") ? `[${host}]` : host;
  switch (kind) {
    case "lookup":
      return `look up ${host}${answer && answer.length > 0 ? ` = ${answer.join(", ")}` : ""}`;
    case "exposed":
      return `from ${address} to port ${port}`;
    default:
      return `${kind === "udp" ? "udp " : ""}${name === undefined ? address : `${name} (${address})`}:${port}`;
  }
}

/** What has changed since the snapshot before, a line each, for what cannot be written over and who reads aloud. */
export function changesOf(before: Snapshot | undefined, { session, pod, flows }: Snapshot): string {
  const known = new Map(before?.flows.map((flow) => [flow.id, flow.state]));
  const moved = before === undefined || before.pod === pod ? "" : `${session}  in pod ${pod}\n`;
  return moved + flows.filter(({ id, state }) => known.get(id) !== state).map((flow) => {
    const { kind, sent, received, since, until, program, pid } = flow;
    const bytes = kind === "lookup" ? "" : `, ${formatBytes(sent)} sent, ${formatBytes(received)} received`;
    const time = until === undefined ? "" : ` after ${formatTime(until - since)}`;
    const who = program === undefined ? "" : ` by ${program} [${pid}]`;
    return `${session}  ${stateOf(flow)}${time}: ${whatOf(flow)}${bytes}${who}\n`;
  }).join("");
}
