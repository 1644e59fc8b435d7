import { type Log, silentLog } from "@/log/mod.ts";
import { DialError, LookupError, type Pod } from "@/pod/mod.ts";
import { abortable, type Duplex, messageOf, splice, writeAll } from "@/util/mod.ts";
import type { Gate } from "./gate.ts";
import { readLines } from "./lines.ts";
import type { Policy } from "./policy.ts";
import { type Answer, formatAnswer, parseRequest, ProtocolError, type Request } from "./protocol.ts";

/** How long the shim may take for a line that it writes at once. */
const LINE_MS = 10_000;

/** What answers the shim's requests. */
export interface Control {
  readonly pod: Pod;
  readonly policy: Policy;
  readonly gate: Gate;
  readonly log?: Log;
  /** Ends every connection and every wait. */
  readonly signal: AbortSignal;
}

type Of<Verb extends Request["verb"]> = Extract<Request, { readonly verb: Verb }>;

/**
 * Serves one control connection, which is one call of the program: a lookup, or a connect and its claim. Never throws:
 * what goes wrong is the answer, and is told in the log.
 */
export async function serveControl(conn: Duplex, control: Control): Promise<void> {
  using _open = closing([conn], control.signal);
  try {
    const next = readLines(conn);
    const request = await inTime(conn, async () => asRequest(await next()));
    switch (request?.verb) {
      case undefined:
        return;
      case "connect":
        return await serveConnect(conn, request, async () => asRequest(await next()), control);
      case "lookup":
        return await tell(conn, await lookup(request, control));
      case "claim":
        throw new ProtocolError("there is nothing to claim");
    }
  } catch (error) {
    control.log?.debug(`control connection: ${messageOf(error)}`);
    if (error instanceof ProtocolError) await tell(conn, { verb: "error", message: error.message }).catch(() => {});
  }
}

async function lookup({ name, family }: Of<"lookup">, control: Control): Promise<Answer> {
  const { pod, policy, log = silentLog, signal } = control;
  const reason = policy.name(name);
  if (reason) {
    log.debug(`lookup ${name}: host (${reason})`);
    return { verb: "local" };
  }
  try {
    const { addresses } = await pod.lookup(name, { family, signal });
    log.debug(`lookup ${name}: ${addresses.join(" ")}`);
    return { verb: "addresses", addresses };
  } catch (error) {
    log.debug(`lookup ${name}: ${messageOf(error)}`);
    return { verb: "failed", code: error instanceof LookupError ? error.code : "EAI_AGAIN" };
  }
}

async function serveConnect(
  conn: Duplex,
  { to }: Of<"connect">,
  nextRequest: () => Promise<Request | undefined>,
  control: Control,
): Promise<void> {
  const { pod, policy, gate, log = silentLog, signal } = control;
  const subject = `connect ${to.address} ${to.port}`;
  const reason = policy.address(to.address);
  if (reason) {
    log.debug(`${subject}: host (${reason})`);
    return await tell(conn, { verb: "local" });
  }
  // A program that gives its connect up (a signal, its end) closes the control connection, and the dial ends with it.
  const givenUp = new AbortController();
  const next = nextRequest();
  next.then((request) => request ?? givenUp.abort(), () => givenUp.abort());
  let dialled: Duplex;
  try {
    dialled = await pod.dial({ host: to.address, port: to.port }, {
      signal: AbortSignal.any([signal, givenUp.signal]),
    });
  } catch (error) {
    log.debug(`${subject}: ${givenUp.signal.aborted ? "given up by the program" : messageOf(error)}`);
    return await tell(conn, { verb: "failed", code: error instanceof DialError ? error.code : "ECONNREFUSED" });
  }
  using _dialled = closing([dialled], signal);
  await tell(conn, { verb: "connected", port4: gate.port4, port6: gate.port6 });
  const request = await inTime(conn, () => next);
  if (request === undefined) return log.debug(`${subject}: given up by the program`);
  if (request.verb !== "claim") throw new ProtocolError("a claim must follow");
  const program = await abortable(gate.claim(request.from), signal);
  if (program === undefined) return log.debug(`${subject}: nothing came from ${request.from.address}`);
  using _program = closing([program], signal);
  conn.close();
  log.debug(`${subject}: joined to port ${request.from.port}`);
  const ended = await splice(program, dialled);
  log.debug(`${subject}: closed${ended ? `: ${messageOf(ended)}` : ""}`);
}

function asRequest(line: string | undefined): Request | undefined {
  return line === undefined ? undefined : parseRequest(line);
}

async function tell(conn: Duplex, answer: Answer): Promise<void> {
  await writeAll(conn, formatAnswer(answer));
}

/** What `wait` gives, which ends when the connection is closed because it took too long. */
async function inTime<T>(conn: Duplex, wait: () => Promise<T>): Promise<T> {
  const timer = setTimeout(() => conn.close(), LINE_MS);
  try {
    return await wait();
  } finally {
    clearTimeout(timer);
  }
}

/** Closes connections at the end of a scope, and when `signal` says so. */
function closing(connections: readonly Duplex[], signal: AbortSignal): Disposable {
  const close = () => connections.forEach((each) => each.close());
  signal.addEventListener("abort", close, { once: true });
  if (signal.aborted) close();
  return {
    [Symbol.dispose]() {
      signal.removeEventListener("abort", close);
      close();
    },
  };
}
