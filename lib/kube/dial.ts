/**
 * The one way to the API server, for requests and streams alike: TCP, then (where there is one) a proxy, then TLS.
 *
 * Three implementations of TLS share the work, because each of the better ones lacks something (Deno 2.9):
 *
 * - `Deno.startTls` over our own TCP connection: small writes leave at once (TCP_NODELAY), any server name, proxies;
 *   no client certificate.
 * - `Deno.connectTls`: client certificates; it checks the name that it connects to and goes there directly.
 * - `node:tls` over any of our connections (`tls_over.ts`): the rest, at about half the speed.
 *
 * Authorities of a kubeconfig are added to those of the runtime by the first two; only `node:tls` puts them in their
 * place, as kubectl does. So a server whose authorities are named is spoken to by `node:tls`, unless the runtime is known
 * to trust nobody by itself: its list is empty when `DENO_TLS_CA_STORE` was so at the first use of TLS (`Deno.env.set`
 * can say it as well). Nothing else was found: `caCerts` only adds, and a `TlsConn` shows no certificate of its peer
 * that could be checked afterwards.
 *
 * @module
 */
import { abortable, deadline, type Duplex, messageOf, reasonOf, UserError } from "@/util/mod.ts";
import type { ClientCertificate, ClusterConfig } from "./cluster_config.ts";
import { setNoDelay } from "./no_delay.ts";
import { isPair } from "./pem.ts";
import { throughProxy } from "./proxy.ts";
import { tlsOver } from "./tls_over.ts";

/** How long TCP, proxy and TLS may take together. kubectl waits 30 s for TCP alone, which is long at a terminal. */
export const CONNECT_TIMEOUT_MS = 10_000;

/** What a dial is told beyond the cluster. */
export interface DialOptions {
  /** Used in place of the configuration's own certificate. */
  clientCertificate?: ClientCertificate | undefined;
  /** Gives the attempt up. */
  signal?: AbortSignal | undefined;
  /** @default {CONNECT_TIMEOUT_MS} */
  timeoutMs?: number | undefined;
  /** As in `ApiOptions`. @default {"some"} */
  runtimeAuthorities?: RuntimeAuthorities | undefined;
}

/** Whose authorities the certificate of an API server may be of: those of the kubeconfig alone, or of this system. */
export type Authorities = "kubeconfig" | "system";

/** Whose they are for this cluster, as with kubectl: the system's only where the kubeconfig names none. */
export function authoritiesOf({ tls }: ClusterConfig): Authorities {
  return tls.caCerts === undefined ? "system" : "kubeconfig";
}

/** Whom the runtime trusts by itself, beside the authorities that a connection names. */
export type RuntimeAuthorities = "none" | "some";

/**
 * Opens a connection to the API server, TLS done and the server's certificate checked.
 *
 * @throws {UserError} when it cannot be reached or is not trusted: names the address, the cause and next steps
 */
export async function dial(cluster: ClusterConfig, options: DialOptions = {}): Promise<Duplex> {
  const { clientCertificate = cluster.tls.clientCertificate, signal, timeoutMs = CONNECT_TIMEOUT_MS } = options;
  const { runtimeAuthorities = "some" } = options;
  using late = deadline(timeoutMs, () => new ConnectTimeout(timeoutMs));
  const either = signal ? AbortSignal.any([signal, late.signal]) : late.signal;
  try {
    return await connect(cluster, clientCertificate, { runtimeAuthorities, signal: either });
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof UserError) throw error;
    if (late.signal.aborted) throw dialError(cluster, late.signal.reason);
    throw await certificateError(cluster, clientCertificate) ?? dialError(cluster, error);
  }
}

async function connect(
  cluster: ClusterConfig,
  certificate: ClientCertificate | undefined,
  { runtimeAuthorities, signal }: { runtimeAuthorities: RuntimeAuthorities; signal: AbortSignal },
): Promise<Duplex> {
  const { tls } = cluster;
  const { hostname, port, secure } = hostAndPort(new URL(cluster.server));
  const open = () => openTransport(cluster, hostname, port, signal);
  if (!secure) return (await open()).duplex;
  const serverName = tls.serverName ?? hostname;
  const byNode = async () => {
    const wrong = await certificateError(cluster, certificate); // it would go on without the certificate
    if (wrong !== undefined) throw wrong;
    const { caCerts, skipVerify } = tls;
    const settings = { serverName, caCerts, skipVerify, clientCertificate: certificate, signal };
    return await tlsOver((await open()).duplex, settings);
  };
  if (tls.skipVerify || tls.caCerts !== undefined && runtimeAuthorities === "some") return await byNode();
  const caCerts = tls.caCerts === undefined ? [] : [tls.caCerts];
  try {
    if (certificate === undefined) {
      const { tcp, duplex } = await open();
      if (tcp === undefined) {
        return await tlsOver(duplex, { serverName, caCerts: tls.caCerts, skipVerify: false, signal });
      }
      return await handshake(Deno.startTls(tcp, { hostname: serverName, caCerts }), signal, tcp);
    }
    if (cluster.proxy !== undefined || serverName !== hostname) return await byNode();
    return await handshake(Deno.connectTls({ hostname, port, caCerts, ...certificate }), signal);
  } catch (error) {
    // A server's certificate that is its own authority is refused by the runtime's TLS whatever we trust.
    if (tls.caCerts === undefined || !messageOf(error).includes("CaUsedAsEndEntity")) throw error;
    return await byNode();
  }
}

/** A connection on its way to the server, before TLS; `tcp` is there when it is a plain one of the runtime's own. */
interface Transport {
  readonly duplex: Duplex;
  readonly tcp?: Deno.TcpConn;
}

async function openTransport(
  { proxy, clusterName, tls }: ClusterConfig,
  hostname: string,
  port: number,
  signal: AbortSignal,
): Promise<Transport> {
  if (proxy === undefined) return await connectTcp(hostname, port, signal);
  const url = new URL(proxy);
  const at = hostAndPort(url);
  let transport: Transport;
  try {
    transport = await connectTcp(at.hostname, at.port, signal);
    // As in Go, the proxy of a cluster is known by the cluster's authorities as well.
    if (at.secure) {
      const { caCerts, skipVerify } = tls;
      const duplex = await tlsOver(transport.duplex, { serverName: at.hostname, caCerts, skipVerify, signal });
      transport = { duplex };
    }
  } catch (cause) {
    if (signal.aborted) throw cause;
    throw new UserError(`Cannot connect to the proxy ${url.protocol}//${url.host}: ${reasonOf(inOurWords(cause))}`, {
      hints: [`It is named by "proxy-url" of the cluster "${clusterName}", or by HTTPS_PROXY; NO_PROXY excepts hosts`],
      cause,
    });
  }
  const stop = () => transport.duplex.close();
  signal.addEventListener("abort", stop, { once: true });
  try {
    await throughProxy(transport.duplex, url, { hostname, port });
    return transport;
  } catch (error) {
    stop();
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

async function connectTcp(hostname: string, port: number, signal: AbortSignal): Promise<Required<Transport>> {
  const tcp = await Deno.connect({ hostname, port, signal });
  tcp.setNoDelay(true);
  tcp.setKeepAlive(true);
  return { tcp, duplex: closeOnce(tcp) };
}

/** The connection with its handshake done; closed when that fails or comes too late. */
async function handshake(opening: Promise<Deno.TlsConn>, signal: AbortSignal, tcp?: Deno.TcpConn): Promise<Duplex> {
  const ready = opening.then(async (conn) => {
    const giveUp = () => closeQuietly(conn);
    if (tcp === undefined) await setNoDelay(conn); // before the handshake, which has small writes too
    if (signal.aborted) giveUp();
    signal.addEventListener("abort", giveUp, { once: true });
    try {
      await conn.handshake();
      return closeOnce(conn);
    } catch (error) {
      giveUp();
      throw error;
    } finally {
      signal.removeEventListener("abort", giveUp);
    }
  });
  try {
    return await abortable(ready, signal);
  } catch (error) {
    if (tcp) closeQuietly(tcp); // still ours when TLS did not get as far as taking it
    throw error;
  }
}

/** The connection with a `close` that may be called twice (`Deno.Conn`'s throws then), and with our words for its end. */
function closeOnce(conn: Duplex): Duplex {
  return {
    read: (into) => conn.read(into).catch((error) => Promise.reject(inOurWords(error))),
    write: (bytes) => conn.write(bytes),
    closeWrite: () => conn.closeWrite(),
    close: () => closeQuietly(conn),
  };
}

/** TLS that ends without its goodbye: the runtime's words for that are an address of a manual. */
function inOurWords(error: unknown): unknown {
  return /close_notify/.test(messageOf(error)) ? new Error("the other end broke it off") : error;
}

function closeQuietly(closer: { close(): void }): void {
  try {
    closer.close();
  } catch {
    // It is closed already, or TLS has taken it over.
  }
}

/** Host (IPv6 without brackets), port and whether TLS is spoken there. */
function hostAndPort(url: URL): { hostname: string; port: number; secure: boolean } {
  const secure = url.protocol === "https:";
  const standard = secure ? 443 : url.protocol.startsWith("socks") ? 1080 : 80;
  return { hostname: url.hostname.replace(/^\[|\]$/g, ""), port: Number(url.port) || standard, secure };
}

/** The time for connecting is over. */
class ConnectTimeout extends Error {
  override readonly name = "ConnectTimeout";
  constructor(timeoutMs: number) {
    super(`no answer within ${timeoutMs / 1000} s`);
  }
}

const CLOCK_HINT = "Compare this machine's clock with that of the cluster: date --utc";

function certificateHints({ clusterName, tls }: ClusterConfig): string[] {
  return [
    `Check "certificate-authority" and "server" of the cluster "${clusterName}" in the kubeconfig`,
    'Where the certificate is for another name, set "tls-server-name" to it',
    // kubectl trusts the system's authorities where the kubeconfig names none; the runtime may have a list of its own.
    ...(tls.caCerts === undefined ? ["To trust the authorities of this system: export DENO_TLS_CA_STORE=system"] : []),
  ];
}

/** The error for a client certificate that cannot be used, in our words: the runtime's depend on the way taken. */
async function certificateError(
  { userName }: ClusterConfig,
  certificate: ClientCertificate | undefined,
): Promise<UserError | undefined> {
  if (certificate === undefined) return undefined;
  const refuse = (state: string, cause?: unknown) =>
    new UserError(`Cannot use the client certificate of the user "${userName}": ${state}`, {
      hints: ['Look at "client-certificate" and "client-key" of that user in the kubeconfig'],
      ...(cause !== undefined && { cause }),
    });
  try {
    return await isPair(certificate) ? undefined : refuse("the certificate and its key do not fit each other");
  } catch (cause) {
    return refuse("the certificate or its key cannot be read", cause);
  }
}

/** The sentence for a failed dial. */
function dialError(cluster: ClusterConfig, cause: unknown): UserError {
  const url = new URL(cluster.server);
  const { hostname, port } = hostAndPort(url);
  const fail = (state: string, ...hints: string[]) =>
    new UserError(
      `Cannot connect to the API server at ${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}: ${state}`,
      { hints, cause },
    );
  const words = reasonOf(inOurWords(cause));
  if (cause instanceof ConnectTimeout) {
    return fail(
      `timed out, ${words}`,
      "Check that a VPN or a jump host that the cluster needs is up",
      "Try: kubectl version",
    );
  }
  if (/expired|not valid yet|not yet valid/i.test(words)) {
    return fail(
      `the dates of its certificate do not fit (${words})`,
      CLOCK_HINT,
      "Where the clock is right, whoever runs the cluster has to renew the certificate of its API server",
    );
  }
  if (/certificate|UnknownIssuer|CaUsedAsEndEntity|altnames/i.test(words)) {
    // node:tls says only this of one that has expired, too.
    const dates = /unable to verify/i.test(words) ? [`It may be its dates. ${CLOCK_HINT}`] : [];
    return fail(`its certificate is not trusted (${words})`, ...certificateHints(cluster), ...dates);
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
