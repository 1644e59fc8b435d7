import { type Log, silentLog } from "@/log/mod.ts";
import { deadline, type Duplex, messageOf, UserError } from "@/util/mod.ts";
import { type Api, ConnectionLost } from "./api.ts";
import { ProtocolError } from "./byte_reader.ts";
import { openExecStream } from "./exec_stream.ts";
import { openPortForward } from "./port_forward.ts";
import type { ObjectName } from "./resource.ts";
import { openSpdyPortForward } from "./spdy_port_forward.ts";
import { KubeError } from "./status.ts";

/**
 * What carries a port-forward: `websocket` is `v4.channel.k8s.io`, which every server has and every proxy that knows
 * WebSockets passes on; `exec` runs a command in the pod that connects to the port, and so takes the rights of
 * `pods/exec` instead; `tunnel` is SPDY inside a WebSocket; `spdy` is SPDY by its own upgrade, which takes the right to
 * `create` `pods/portforward` where `websocket` and `tunnel` take `get` as well.
 */
export type PortForwardWay = "websocket" | "exec" | "tunnel" | "spdy";

/** How a port-forward is opened. */
export interface PortForwardOptions {
  /** The way to take. @default {the first one that the server accepts, remembered from then on} */
  readonly via?: PortForwardWay;
  /**
   * The command of the way `exec`: it joins its standard input and output to the port (`nc 127.0.0.1 80`, for one), and
   * ends when its input or the connection does. @default {none: that way is left out}
   */
  readonly exec?: PortForwardExec;
  /**
   * It will carry much: where port-forwards go by `websocket` it takes `spdy`, which costs the cluster up to a third
   * less. Not everything on the way to a server knows it: what fails so is to be opened without this. @default {false}
   */
  readonly bulk?: boolean;
  readonly signal?: AbortSignal;
}

/** A command in the pod that connects to the port. */
export interface PortForwardExec {
  /** @default {the pod's first} */
  readonly container?: string;
  /** The program and its words; no shell is involved. */
  readonly command: readonly [string, ...string[]];
}

/** Opens connections to ports of pods. */
export type PortForwarder = (pod: Required<ObjectName>, port: number, options: PortForwardOptions) => Promise<Duplex>;

/** The most widely passed on first; those that SPDY has a part in last, as gateways drop support for it. */
const WAYS = ["websocket", "exec", "tunnel", "spdy"] as const;

/**
 * How long a way may take until it is answered, as long as none is known that is accepted: longer than a connection may
 * take. Some proxies swallow a request that they do not understand.
 */
const ANSWER_MS = 15_000;

/**
 * Opens port-forwards by the first way that the server accepts, and remembers it.
 *
 * @returns a function that throws what the first way was refused with when none is accepted
 */
export function openPortForwarder(
  api: Api,
  options: { log?: Log; portForwardWays?: readonly PortForwardWay[]; answerMs?: number } = {},
): PortForwarder {
  const { log = silentLog, portForwardWays = WAYS, answerMs = ANSWER_MS } = options;
  const brokenOff = new Set<PortForwardWay>();
  let accepted: PortForwardWay | undefined;
  return async (pod, port, { via, exec, bulk = false, signal }) => {
    const openBy = (way: PortForwardWay, signal: AbortSignal | undefined) =>
      WAY_OPENERS[way](api, pod, port, { exec, signal });
    const usual = accepted === "exec" && exec === undefined ? undefined : accepted;
    const known = via ?? (bulk && usual === "websocket" ? "spdy" : usual);
    if (known !== undefined) return await openBy(known, signal);
    const refusals: Refusal[] = [];
    for (const way of portForwardWays) {
      if (way === "exec" && exec === undefined) continue;
      if (!refusals.every((refusal) => isWorthTrying(way, refusal))) continue;
      using late = deadline(answerMs, () => new NoAnswer(port, answerMs));
      try {
        const duplex = await openBy(way, signal ? AbortSignal.any([signal, late.signal]) : late.signal);
        accepted = way;
        if (refusals.length > 0) log.info(`Port-forwards go by ${way}`);
        return duplex;
      } catch (error) {
        signal?.throwIfAborted();
        log.info(`A port-forward by ${way} was refused: ${messageOf(error)}`);
        refusals.push({ way, error, again: brokenOff.has(way) });
        if (error instanceof ConnectionLost) brokenOff.add(way);
      }
    }
    throw refusals[0]?.error ?? new TypeError("Cannot forward a port: there is no way to try");
  };
}

type WayOpener = (
  api: Api,
  pod: Required<ObjectName>,
  port: number,
  options: { exec: PortForwardExec | undefined; signal: AbortSignal | undefined },
) => Promise<Duplex>;

const WAY_OPENERS: Readonly<Record<PortForwardWay, WayOpener>> = {
  websocket: (api, pod, port, { signal }) => openPortForward(api, pod, port, { signal }),
  async exec(api, pod, port, { exec, signal }) {
    if (exec === undefined) throw new TypeError(`Cannot forward port ${port} by exec: there is no command for it`);
    // An end that the server cannot pass on is the end of both directions, as it is by `websocket`.
    return await openExecStream(api, pod, { ...exec, ...(signal && { signal }), endsWhole: true });
  },
  tunnel: (api, pod, port, { signal }) => openSpdyPortForward(api, pod, port, { carrier: "tunnel", signal }),
  spdy: (api, pod, port, { signal }) => openSpdyPortForward(api, pod, port, { carrier: "spdy", signal }),
};

/** A way that was not accepted, and why. */
interface Refusal {
  readonly way: PortForwardWay;
  readonly error: unknown;
  /** Whether its connection was lost before: once is chance (a server that restarts), twice is what stands on the way. */
  readonly again: boolean;
}

/** Somebody on the way, or the server, keeps a request to himself. */
class NoAnswer extends UserError {
  override readonly name = "NoAnswer";
  constructor(port: number, answerMs: number) {
    super(`Cannot forward port ${port}: the API server did not answer the request within ${answerMs / 1000} s`);
  }
}

/** Whether `way` may be accepted after another one was not: only when the refusal is about the way. */
function isWorthTrying(way: PortForwardWay, { way: refused, error, again }: Refusal): boolean {
  // A server, or something before it, that speaks otherwise, keeps the request to itself, or breaks it off.
  if (error instanceof ProtocolError || error instanceof NoAnswer) return true;
  if (error instanceof ConnectionLost) return again;
  if (!(error instanceof KubeError)) return false;
  if (error.status === 403 && error.reason === "Forbidden") return rightOf(way) !== rightOf(refused);
  return ["", "BadRequest", "MethodNotAllowed"].includes(error.reason);
}

/** The right that a way asks for first: a WebSocket begins with a GET, SPDY with a POST. */
function rightOf(way: PortForwardWay): string {
  if (way === "exec") return "get pods/exec";
  return `${way === "spdy" ? "create" : "get"} pods/portforward`;
}
