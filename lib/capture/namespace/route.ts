/** Where a connection of the inside goes. */
import { type Duplex, messageOf } from "@/util/mod.ts";
import { DialError, type ErrnoName, type Pod, toErrnoName, type Waiting } from "@/pod/mod.ts";
import { connDuplex } from "../inject/conn_duplex.ts";
import type { Policy } from "../inject/policy.ts";
import type { Endpoint } from "../inject/protocol.ts";
import { RESOLVER } from "../dns/resolver.ts";

/** A destination with the reason for it, as the log tells it. */
export type Route =
  | { readonly kind: "resolver" }
  | { readonly kind: "host"; readonly to: Endpoint; readonly reason: string }
  | { readonly kind: "pod"; readonly to: Endpoint }
  | { readonly kind: "nowhere"; readonly code: ErrnoName; readonly reason: string };

/**
 * Decides about a destination that no socket of the inside wants.
 *
 * @param isPublished whether a port of the host's loopback is one of our own listeners, which lead inside again
 */
export function routeOf(to: Endpoint, policy: Policy, isPublished: (port: number) => boolean): Route {
  if (to.address === RESOLVER.address) {
    return to.port === RESOLVER.port
      ? { kind: "resolver" }
      : { kind: "nowhere", code: "ECONNREFUSED", reason: "only names are there" };
  }
  const reason = policy.address(to.address);
  if (reason === undefined) return { kind: "pod", to };
  if (reason === "loopback" && isPublished(to.port)) {
    return { kind: "nowhere", code: "ECONNREFUSED", reason: "nobody listens inside, and the host's port is ours" };
  }
  const address = to.address === "0.0.0.0" ? "127.0.0.1" : to.address === "::" ? "::1" : to.address;
  return { kind: "host", to: { address, port: to.port }, reason };
}

/** What came of connecting. */
export type Connected = { readonly duplex: Duplex; readonly code?: undefined } | {
  readonly code: ErrnoName;
  readonly message: string;
};

/** Connects from the host or from the pod. Never throws: what goes wrong is the answer. */
export async function connectTo(
  route: Route & { kind: "host" | "pod" },
  pod: Pod,
  waiting: Waiting & { readonly signal: AbortSignal },
): Promise<Connected> {
  const { address, port } = route.to;
  try {
    if (route.kind === "pod") return { duplex: await pod.dial({ host: address, port }, waiting) };
    const conn = await Deno.connect({ hostname: address, port, signal: waiting.signal });
    conn.setNoDelay();
    return { duplex: connDuplex(conn) };
  } catch (error) {
    const code = error instanceof DialError ? error.code : toErrnoName(codeOf(error));
    return { code: code === "EIO" ? "ECONNREFUSED" : code, message: messageOf(error) };
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
