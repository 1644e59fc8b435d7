import ipaddr from "ipaddr.js";
import { TYPES } from "@/dns/mod.ts";
import { type Log, silentLog } from "@/log/mod.ts";
import { type Address, DialError, type ErrnoName, LookupError, type Pod, type Waiting } from "@/pod/mod.ts";
import { abortable, type Duplex, duplexPair, messageOf, splice, writeAll } from "@/util/mod.ts";
import type { DnsResponder } from "../dns/answer.ts";
import { RESOLVER } from "../dns/resolver.ts";
import { serveDns } from "../dns/serve.ts";
import type { FilePath } from "../method.ts";
import type { Watch } from "./abandoned.ts";
import type { Connections } from "./connections.ts";
import type { Gate } from "./gate.ts";
import { readLines } from "./lines.ts";
import type { Policy } from "./policy.ts";
import type { Relays } from "./relays.ts";
import { type Answer, type Endpoint, formatAnswer, parseRequest, ProtocolError, type Request } from "./protocol.ts";

/** Why a wait is over; one for all, as each error made takes a look at the stack. */
const GIVEN_UP = new Error("the program has given up");

/** How long the shim may take for a line that it writes at once. */
const LINE_MS = 10_000;

/** What answers the shim's requests. */
export interface Control {
  readonly pod: Pod;
  readonly policy: Policy;
  readonly gate: Gate;
  readonly connections: Connections;
  readonly watch: Watch;
  readonly relays: Relays;
  /** Answers the DNS that programs speak themselves. */
  readonly responder: DnsResponder;
  /** The pod's own addresses. */
  readonly own: () => readonly string[];
  /** Size of a plug; undefined where there cannot be one, so that every connect waits for the pod (plug.ts). */
  readonly plug: number | undefined;
  /** What programs are to find at other paths than the host has it. */
  readonly mounts: () => readonly FilePath[];
  /** What the user has to hear of a program that is about to be started. */
  readonly programs: (path: string) => Promise<Answer>;
  readonly log?: Log;
  /** Has something be waited for at the end. */
  readonly serving: (call: Promise<void>) => void;
  /** The connections that are open. One set rather than a listener of the signal for each: there may be thousands. */
  readonly open: Set<Duplex>;
  /** Ends every wait; whoever aborts it closes what is open as well. */
  readonly signal: AbortSignal;
}

type Of<Verb extends Request["verb"]> = Extract<Request, { readonly verb: Verb }>;

/**
 * Serves one control connection, which is one call of the program: a lookup, or a connect and its claim. Never throws:
 * what goes wrong is the answer, and is told in the log.
 */
export async function serveControl(conn: Duplex, control: Control): Promise<void> {
  using _open = closing(conn, control);
  try {
    const next = readLines(conn);
    const request = await inTime(conn, async () => asRequest(await next()));
    switch (request?.verb) {
      case undefined:
        return;
      case "connect":
      case "begin":
        return await serveConnect(conn, request, async () => asRequest(await next()), control);
      case "lookup":
        return await tell(conn, await lookup(request, control, endOf(next())));
      case "hello":
        return await tell(conn, hello(control));
      case "about":
        return await tell(conn, { verb: "about", connection: control.connections.about(request.from) });
      case "reverse":
        return await tell(conn, await reverse(request, control, endOf(next())));
      case "relay":
        return await tell(conn, await relay(request, control));
      case "whose":
        return await tell(conn, { verb: "whose", peer: control.relays.peerOf(request.port, request.family) });
      case "dns":
        await tell(conn, { verb: "dns" });
        return await serveDns(conn, { ...control, transport: "tcp" });
      case "program":
        return await tell(conn, await control.programs(request.path));
      case "claim":
        throw new ProtocolError("there is nothing to claim");
    }
  } catch (error) {
    control.log?.debug(`control connection: ${messageOf(error)}`);
    if (error instanceof ProtocolError) await tell(conn, { verb: "error", message: error.message }).catch(() => {});
  }
}

/** A signal that aborts when nothing more comes: the program gave its call up (a signal, its end). */
function endOf(next: Promise<unknown>): AbortSignal {
  const ended = new AbortController();
  next.then((line) => line ?? ended.abort(GIVEN_UP), () => ended.abort(GIVEN_UP));
  return ended.signal;
}

async function lookup({ name, family, pid }: Of<"lookup">, control: Control, givenUp: AbortSignal): Promise<Answer> {
  const { pod, policy, log = silentLog } = control;
  const signal = AbortSignal.any([control.signal, givenUp]);
  const reason = await policy.name(name);
  if (reason) {
    log.debug(`lookup ${name}: host (${reason})`);
    return { verb: "local", reason };
  }
  try {
    const { addresses } = await pod.lookup(name, { family, signal, caller: () => ({ pid }) });
    log.debug(`lookup ${name}: ${addresses.join(" ")}`);
    return { verb: "addresses", addresses };
  } catch (error) {
    log.debug(`lookup ${name}: ${messageOf(error)}`);
    return { verb: "failed", code: error instanceof LookupError ? error.code : "EAI_AGAIN" };
  }
}

/** The name of an address, by the pod's name servers; the host's would learn of the cluster's addresses. */
async function reverse({ address, pid }: Of<"reverse">, control: Control, givenUp: AbortSignal): Promise<Answer> {
  const { pod, policy, log = silentLog } = control;
  const reason = policy.address(address);
  if (reason) return { verb: "local", reason };
  try {
    const signal = AbortSignal.any([control.signal, givenUp]);
    const { records } = await pod.resolve(reverseName(address), TYPES.PTR, { signal, caller: () => ({ pid }) });
    const name = records.map(({ data }) => data.type === "PTR" ? data.target : "").find((name) => NAME.test(name));
    log.debug(`reverse ${address}: ${name ?? "no name"}`);
    return name === undefined ? { verb: "failed", code: "EAI_NONAME" } : { verb: "name", name };
  } catch (error) {
    log.debug(`reverse ${address}: ${messageOf(error)}`);
    return { verb: "failed", code: error instanceof LookupError ? error.code : "EAI_AGAIN" };
  }
}

/** What a line of the protocol can carry. */
const NAME = /^[\x21-\x7e]{1,1000}$/;

/** The name under which DNS has the names of an address (RFC 1035, section 3.5; RFC 3596, section 2.5). */
export function reverseName(address: string): string {
  const parsed = ipaddr.parse(address);
  const bytes = parsed.toByteArray();
  if (parsed.kind() === "ipv4") return `${bytes.reverse().join(".")}.in-addr.arpa`;
  const digits = bytes.flatMap((byte) => [byte >> 4, byte & 15]).reverse().map((digit) => digit.toString(16));
  return `${digits.join(".")}.ip6.arpa`;
}

/** The relay for datagrams to a peer. */
async function relay({ to, family }: Of<"relay">, { policy, relays, log = silentLog }: Control): Promise<Answer> {
  const subject = `datagrams ${to.address} ${to.port}`;
  const reason = policy.address(to.address);
  if (reason) {
    log.debug(`${subject}: host (${reason})`);
    return { verb: "local", reason };
  }
  try {
    const port = await relays.portFor(to, family);
    log.debug(`${subject}: relay ${port}`);
    return { verb: "relay", port };
  } catch (error) {
    log.debug(`${subject}: ${messageOf(error)}`);
    return { verb: "failed", code: error instanceof DialError ? error.code : "EIO" };
  }
}

function hello({ gate, own, mounts, policy }: Control): Answer {
  // An address that is the host's too (a pod of the host's network) is bound and connected here as any other.
  const addresses = own().filter((address) => policy.address(address) === undefined);
  const [v4, v6] = [false, true].map((v6) => addresses.find((address) => address.includes(":") === v6));
  return {
    verb: "hello",
    gates: gate,
    own: { ...(v4 !== undefined && { v4 }), ...(v6 !== undefined && { v6 }) },
    mounts: mounts(),
  };
}

/**
 * A connect that waits for the pod, or one that has begun: the difference is when the program is let through its gate,
 * and how it hears of a failure.
 */
async function serveConnect(
  conn: Duplex,
  { verb, to, pid }: Of<"connect" | "begin">,
  nextRequest: () => Promise<Request | undefined>,
  control: Control,
): Promise<void> {
  const { policy, gate, connections, log = silentLog, signal } = control;
  const subject = `connect ${to.address} ${to.port}`;
  const reason = policy.address(to.address);
  if (reason) {
    log.debug(`${subject}: host (${reason})`);
    return await tell(conn, { verb: "local", reason });
  }
  const next = nextRequest();
  const abandoned = new AbortController();
  const givenUp = AbortSignal.any([signal, endOf(next), abandoned.signal]);
  const plug = verb === "begin" ? control.plug : undefined;
  const dialling = dial(to, givenUp, { ...control, caller: () => ({ pid }) });

  if (plug === undefined) {
    const result = await dialling;
    if ("code" in result) return await tell(conn, { verb: "failed", code: result.code });
  }
  try {
    const gates = { port4: gate.port4, port6: gate.port6 };
    const telling = tell(conn, plug === undefined ? { verb: "connected", gates } : { verb: "pending", gates, plug });
    await telling.catch(() => {}); // the shim may have gone on without a word: then its claim is here
    const claim = await inTime(conn, () => next);
    if (claim === undefined) return log.debug(`${subject}: given up by the program`);
    if (claim.verb !== "claim") throw new ProtocolError("a claim must follow");
    using known = connections.begin(claim.from, to);
    if (plug === undefined) known.connected();
    const program = await abortable(gate.claim(claim.from), signal);
    if (program === undefined) return log.debug(`${subject}: nothing came from port ${claim.from.port}`);
    conn.close();
    using _program = closing(program, control);
    using watched = control.watch.add(claim.from, () => abandoned.abort(GIVEN_UP));
    const result = await dialling;
    watched[Symbol.dispose]();
    if ("code" in result) return known.failed(result.code); // its plug is unread: closing the connection sends RST
    known.connected();
    await join(program, claim, result.duplex, control);
  } finally {
    abandoned.abort(GIVEN_UP);
    const result = await dialling;
    if ("duplex" in result) result.duplex.close();
  }
}

/** What came of a dial. */
type Dialled = { readonly duplex: Duplex } | { readonly code: ErrnoName };

async function dial(
  to: Endpoint,
  signal: AbortSignal,
  control: Control & Required<Pick<Waiting, "caller">>,
): Promise<Dialled> {
  const { pod, caller, log = silentLog } = control;
  if (to.address === RESOLVER.address) {
    return to.port === RESOLVER.port ? askResolver(control) : { code: "ECONNREFUSED" };
  }
  try {
    return { duplex: await pod.dial(addressOf(to), { signal, caller }) };
  } catch (error) {
    log.debug(`connect ${to.address} ${to.port}: ${signal.aborted ? "given up" : messageOf(error)}`);
    return { code: error instanceof DialError ? error.code : "ECONNREFUSED" };
  }
}

function addressOf({ address, port }: Endpoint): Address {
  return { host: address, port };
}

/** A connection to the name server that programs find in resolv.conf. */
function askResolver(control: Control): Dialled {
  const [duplex, server] = duplexPair();
  const call = serveDns(server, { ...control, transport: "tcp" }).finally(() => server.close());
  control.serving(call);
  return { duplex };
}

/** Joins the program's connection, from behind its plug, to the pod's. */
async function join(
  program: Duplex,
  { from, plug }: Of<"claim">,
  pod: Duplex,
  control: Control,
): Promise<void> {
  const { log = silentLog } = control;
  using _pod = closing(pod, control);
  log.debug(`port ${from.port}: joined`);
  const ended = await skip(program, plug) ? await splice(program, pod) : "closed by the program";
  log.debug(`port ${from.port}: closed${ended ? `: ${messageOf(ended)}` : ""}`);
}

/** Reads exactly so many bytes and drops them; false when the connection ends before. */
async function skip(duplex: Duplex, bytes: number): Promise<boolean> {
  const buffer = new Uint8Array(Math.min(bytes, 256 * 1024));
  for (let left = bytes; left > 0;) {
    const count = await duplex.read(buffer.subarray(0, Math.min(left, buffer.length))).catch(() => null);
    if (count === null) return false;
    left -= count;
  }
  return true;
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

/** Closes a connection at the end of a scope, and when everything ends. */
function closing(conn: Duplex, { open, signal }: Control): Disposable {
  open.add(conn);
  if (signal.aborted) conn.close();
  return {
    [Symbol.dispose]() {
      open.delete(conn);
      conn.close();
    },
  };
}
