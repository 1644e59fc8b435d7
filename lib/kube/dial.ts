/**
 * The one way to the API server, for requests and streams alike: TCP, then (where there is one) a proxy, then TLS.
 *
 * Three implementations of TLS share the work, because each of the better ones lacks something (Deno 2.9):
 *
 * - `Deno.startTls` over our own TCP connection: small writes leave at once (TCP_NODELAY), any server name, proxies;
 *   no client certificate.
 * - `Deno.connectTls`: client certificates; its name to check is the host, it goes to it directly, and the kernel may
 *   hold a small write back until an earlier one is acknowledged.
 * - `node:tls` (`dial_node.ts`): the rest. It reads on into memory when nobody asks, so whoever streams through it must
 *   bound what the peer may send.
 *
 * Authorities of a kubeconfig are added to those of the runtime, where kubectl puts them in their place: neither of
 * the first two can do otherwise.
 *
 * @module
 */
import { abortable, deadline, type Duplex, messageOf, UserError } from "@/util/mod.ts";
import type { ClientCertificate, ClusterConfig } from "./cluster_config.ts";

/** How long TCP, proxy and TLS may take together. kubectl waits 30 s for TCP alone, which is long at a terminal. */
export const CONNECT_TIMEOUT_MS = 10_000;

/** What a dial is told beyond the cluster. */
export interface DialOptions {
  /** Used in place of the configuration's own certificate. */
  clientCertificate?: ClientCertificate | undefined;
  /** Gives the attempt up. */
  signal?: AbortSignal | undefined;
  /** @default {CONNECT_TIMEOUT_MS} */
  timeoutMs?: number;
}

/**
 * Opens a connection to the API server, TLS done and the server's certificate checked.
 *
 * @throws {UserError} when it cannot be reached or is not trusted: names the address, the cause and next steps
 */
export async function dial(cluster: ClusterConfig, options: DialOptions = {}): Promise<Duplex> {
  const { clientCertificate = cluster.tls.clientCertificate, signal, timeoutMs = CONNECT_TIMEOUT_MS } = options;
  using late = deadline(timeoutMs, () => new ConnectTimeout(timeoutMs));
  const either = signal ? AbortSignal.any([signal, late.signal]) : late.signal;
  try {
    return closeOnce(await connect(cluster, clientCertificate, either));
  } catch (error) {
    signal?.throwIfAborted();
    throw dialError(cluster, error);
  }
}

/** Host and port of an address, brackets of IPv6 taken off. */
export function hostAndPort(address: string): { hostname: string; port: number; secure: boolean } {
  const url = new URL(address);
  const secure = url.protocol === "https:";
  return { hostname: url.hostname.replace(/^\[|\]$/g, ""), port: Number(url.port) || (secure ? 443 : 80), secure };
}

async function connect(
  cluster: ClusterConfig,
  certificate: ClientCertificate | undefined,
  signal: AbortSignal,
): Promise<Duplex> {
  const { hostname, port, secure } = hostAndPort(cluster.server);
  if (!secure) return await connectTcp(hostname, port, signal);
  const caCerts = cluster.tls.caCerts === undefined ? [] : [cluster.tls.caCerts];
  if (certificate !== undefined) {
    return await settle(Deno.connectTls({ hostname, port, caCerts, ...certificate }), signal);
  }
  const tcp = await connectTcp(hostname, port, signal);
  try {
    return await settle(Deno.startTls(tcp, { hostname: cluster.tls.serverName ?? hostname, caCerts }), signal);
  } catch (error) {
    closeQuietly(tcp);
    throw error;
  }
}

async function connectTcp(hostname: string, port: number, signal: AbortSignal): Promise<Deno.TcpConn> {
  const tcp = await Deno.connect({ hostname, port, signal });
  tcp.setNoDelay(true);
  tcp.setKeepAlive(true);
  return tcp;
}

/** The connection with its handshake done; closed when that fails or comes too late. */
async function settle(opening: Promise<Deno.TlsConn>, signal: AbortSignal): Promise<Deno.TlsConn> {
  const ready = opening.then(async (conn) => {
    const giveUp = () => closeQuietly(conn);
    if (signal.aborted) giveUp();
    signal.addEventListener("abort", giveUp, { once: true });
    try {
      await conn.handshake();
      return conn;
    } catch (error) {
      giveUp();
      throw error;
    } finally {
      signal.removeEventListener("abort", giveUp);
    }
  });
  return await abortable(ready, signal);
}

/** The connection with a `close` that may be called twice: `Deno.Conn`'s throws then. */
function closeOnce(conn: Duplex): Duplex {
  return {
    read: (into) => conn.read(into),
    write: (bytes) => conn.write(bytes),
    closeWrite: () => conn.closeWrite(),
    close: () => closeQuietly(conn),
  };
}

function closeQuietly(closer: { close(): void }): void {
  try {
    closer.close();
  } catch {
    // It is closed already, or TLS has taken it over.
  }
}

/** The time for connecting is over. */
class ConnectTimeout extends Error {
  override readonly name = "ConnectTimeout";
  constructor(timeoutMs: number) {
    super(`no answer within ${timeoutMs / 1000} s`);
  }
}

/** The sentence for a failed dial. */
function dialError(cluster: ClusterConfig, cause: unknown): UserError {
  const { hostname, port } = hostAndPort(cluster.server);
  const address = hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
  const fail = (state: string, ...hints: string[]) =>
    new UserError(`Cannot connect to the API server at ${address}: ${state}`, { hints, cause });
  const words = messageOf(cause);
  if (cause instanceof ConnectTimeout) {
    return fail(
      `timed out, ${words}`,
      "Check that a VPN or a jump host that the cluster needs is up",
      "Try: kubectl version",
    );
  }
  if (/certificate|UnknownIssuer|CaUsedAsEndEntity/i.test(words)) {
    return fail(
      `its certificate is not trusted (${words})`,
      `Check "certificate-authority" and "server" of the cluster "${cluster.clusterName}" in the kubeconfig`,
      'Where the certificate is for another name, set "tls-server-name" to it',
    );
  }
  if (/lookup address|ENOTFOUND|EAI_/i.test(words)) {
    return fail(
      "its name does not resolve",
      "Check the name, the network and the VPN",
      `Try: getent hosts ${hostname}`,
    );
  }
  if (/refused/i.test(words)) {
    return fail(
      "connection refused",
      "Check that the cluster is running and that the address is right",
      "Try: kubectl version",
    );
  }
  return fail(words, "Try: kubectl version");
}
