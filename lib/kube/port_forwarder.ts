import { type Log, silentLog } from "@/log/mod.ts";
import { type Duplex, messageOf } from "@/util/mod.ts";
import type { Api } from "./api.ts";
import { ProtocolError } from "./byte_reader.ts";
import { openPortForward } from "./port_forward.ts";
import type { ObjectName } from "./resource.ts";
import { openSpdyPortForward } from "./spdy_port_forward.ts";
import { KubeError } from "./status.ts";

/**
 * What carries a port-forward: `websocket` is `v4.channel.k8s.io`, which every server has and every proxy that knows
 * WebSockets passes on; `tunnel` is SPDY inside a WebSocket; `spdy` is SPDY by its own upgrade, which takes the right to
 * `create` `pods/portforward` where the other two take `get` as well.
 */
export type PortForwardWay = "websocket" | "tunnel" | "spdy";

/** How a port-forward is opened. */
export interface PortForwardOptions {
  /** The way to take. @default {the first one that the server accepts, remembered from then on} */
  readonly via?: PortForwardWay;
  readonly signal?: AbortSignal;
}

/** Opens connections to ports of pods. */
export type PortForwarder = (pod: Required<ObjectName>, port: number, options: PortForwardOptions) => Promise<Duplex>;

/** The most widely passed on first. */
const WAYS = ["websocket", "tunnel", "spdy"] as const;

/**
 * Opens port-forwards by the first way that the server accepts, and remembers it.
 *
 * @returns a function that throws what the first way was refused with when none is accepted
 */
export function openPortForwarder(
  api: Api,
  options: { log?: Log; portForwardWays?: readonly PortForwardWay[] } = {},
): PortForwarder {
  const { log = silentLog, portForwardWays = WAYS } = options;
  let accepted: PortForwardWay | undefined;
  return async (pod, port, { via = accepted, signal }) => {
    if (via !== undefined) return await openBy(via, api, pod, port, signal);
    const refusals: Refusal[] = [];
    for (const way of portForwardWays) {
      if (!refusals.every((refusal) => isWorthTrying(way, refusal))) continue;
      try {
        const duplex = await openBy(way, api, pod, port, signal);
        accepted = way;
        log.debug(`port-forwards go by ${way}`);
        return duplex;
      } catch (error) {
        signal?.throwIfAborted();
        log.debug(`port-forward by ${way} failed: ${messageOf(error)}`);
        refusals.push({ way, error });
      }
    }
    throw refusals[0]?.error ?? new TypeError("Cannot forward a port: there is no way to try");
  };
}

/** A way that was not accepted, and why. */
interface Refusal {
  readonly way: PortForwardWay;
  readonly error: unknown;
}

async function openBy(
  way: PortForwardWay,
  api: Api,
  pod: Required<ObjectName>,
  port: number,
  signal: AbortSignal | undefined,
): Promise<Duplex> {
  if (way === "websocket") return await openPortForward(api, pod, port, { signal });
  return await openSpdyPortForward(api, pod, port, { carrier: way, signal });
}

/** Whether `way` may be accepted after another one was not: only when the refusal is about the way. */
function isWorthTrying(way: PortForwardWay, { way: refused, error }: Refusal): boolean {
  if (error instanceof ProtocolError) return true; // a server, or something before it, that speaks otherwise
  if (!(error instanceof KubeError)) return false;
  if (error.status === 403 && error.reason === "Forbidden") return verbOf(way) !== verbOf(refused);
  return error.reason === "" || error.reason === "BadRequest";
}

/** The right that a way asks for first: a WebSocket begins with a GET, SPDY with a POST. */
function verbOf(way: PortForwardWay): "get" | "create" {
  return way === "spdy" ? "create" : "get";
}
