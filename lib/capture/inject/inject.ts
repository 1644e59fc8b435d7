import { type Log, silentLog } from "@/log/mod.ts";
import type { Pod } from "@/pod/mod.ts";
import { acceptAll, messageOf } from "@/util/mod.ts";
import { connectHost } from "../connect_host.ts";
import { makeResponder } from "../dns/answer.ts";
import { ownNamesOf, resolvConf } from "../dns/resolver.ts";
import { interfaceAddresses, resolveOnHost } from "../host.ts";
import type { Capture, FilePath } from "../method.ts";
import { watchAbandoned } from "./abandoned.ts";
import { connDuplex } from "./conn_duplex.ts";
import { trackConnections } from "./connections.ts";
import { type Control, serveControl } from "./control.ts";
import { openGate } from "./gate.ts";
import { chooseMounts } from "./mounts.ts";
import { placeShim } from "./place.ts";
import { watchPrograms } from "./programs.ts";
import { plugBytes, type TcpSettings } from "./plug.ts";
import { makePolicy } from "./policy.ts";
import { openRelays } from "./relays.ts";

/** Options of {@linkcode startInject}. */
export interface InjectOptions {
  /** The shim for this machine's architecture and libc: the bytes of the shared library. */
  readonly shim: Uint8Array<ArrayBuffer>;
  /** Directories for the shim and the control socket, the most wanted first. @default {["/tmp"]} */
  readonly directories?: readonly string[];
  /** Addresses, ranges (CIDR) and names that stay on the host, beside its own: the API server, `--never-proxy`. */
  readonly neverProxy?: readonly string[];
  /** The host's own name. @default {Deno.hostname()} */
  readonly hostname?: string;
  /** The addresses of the host's interfaces, whenever it is called. @default {those of a second ago at most} */
  readonly ownAddresses?: () => readonly string[];
  /** Resolves a name on the host. @default {with its libc} */
  readonly resolve?: (name: string) => Promise<readonly string[]>;
  /**
   * Directories that carried programs must find as the host has them, whatever is mounted there in the pod.
   *
   * @default {the working directory}
   */
  readonly neededDirectories?: readonly string[];
  /** The machine's TCP settings. @default {those of /proc/sys/net/ipv4} */
  readonly tcpSettings?: TcpSettings;
  readonly log?: Log;
  /** Stops the capture, as disposing it does. */
  readonly signal?: AbortSignal;
}

/** The environment variable that tells the shim where we are (shim/README.md). */
export const SOCKET_VARIABLE = "TELEPRESENCE_SHIM_SOCKET";

/**
 * Starts carrying processes by the preload shim: a gate for their connections, a control socket for their questions,
 * and the shim as a file that the loader can find.
 *
 * @throws {UserError} when the shim cannot be placed
 */
export async function startInject(pod: Pod, options: InjectOptions): Promise<Capture> {
  const { shim, directories = ["/tmp"], neverProxy = [], log = silentLog, signal } = options;
  const { hostname = Deno.hostname(), ownAddresses = interfaceAddresses(), resolve = resolveOnHost } = options;
  const { neededDirectories = [Deno.cwd()] } = options;
  signal?.throwIfAborted();
  await using stack = new AsyncDisposableStack();
  const place = stack.use(await placeShim(shim, directories));
  const gate = stack.use(openGate({ log }));
  const listener = stack.use(Deno.listen({ transport: "unix", path: place.socket }));

  const ending = new AbortController();
  const resolvers = `${place.directory}/resolv.conf`;
  await Deno.writeTextFile(resolvers, resolvConf());
  const chooseShown = (files: readonly FilePath[]) =>
    chooseMounts([...files, { pod: "/etc/resolv.conf", host: resolvers }], {
      needed: [...neededDirectories, place.directory],
    });
  let mounts = (await chooseShown([])).shown;
  const policy = makePolicy({ neverProxy, hostname, ownAddresses, resolve });
  const responder = makeResponder(pod, { ownNames: ownNamesOf(policy), log, signal: ending.signal });
  let own: readonly string[] = [];
  const serving = new Set<Promise<void>>();
  const keep = (work: Promise<void>) => {
    const call: Promise<void> = work.finally(() => serving.delete(call));
    serving.add(call);
  };
  const control: Control = {
    pod,
    gate,
    connections: trackConnections(),
    watch: stack.use(watchAbandoned()),
    relays: stack.use(openRelays({ pod, responder, log })),
    responder,
    own: () => own,
    serving: keep,
    mounts: () => mounts,
    programs: watchPrograms(log),
    plug: plugBytes(options.tcpSettings ?? await readTcpSettings()),
    policy,
    log,
    open: new Set(),
    signal: ending.signal,
  };
  const serve = (conn: Deno.UnixConn) => keep(serveControl(connDuplex(conn), control));
  const closed = Promise.race([
    acceptAll(listener, serve, (error) => log.debug(`cannot accept: ${messageOf(error)}`)),
    gate.closed,
  ]);
  closed.catch((error) => log.info(`inject-tcp ended: ${messageOf(error)}`));

  const end = () => {
    ending.abort(new Error("inject-tcp has ended"));
    for (const conn of control.open) conn.close();
  };
  stack.defer(async () => {
    end();
    await Promise.allSettled(serving);
  });
  signal?.addEventListener("abort", end, { once: true });
  stack.defer(() => signal?.removeEventListener("abort", end));
  log.info(`inject-tcp: shim ${place.shim}, gates ${gate.port4} ${gate.port6}`);
  const owned = stack.move();
  return {
    closed,
    environment: (inherited) => ({
      ...inherited,
      LD_PRELOAD: inherited.LD_PRELOAD ? `${inherited.LD_PRELOAD}:${place.shim}` : place.shim,
      [SOCKET_VARIABLE]: place.socket,
    }),
    async show({ files, addresses }) {
      own = addresses;
      const { shown, hidden } = await chooseShown(files);
      mounts = shown;
      for (const { pod, host } of shown) log.debug(`path ${pod}: ${host}`);
      return hidden;
    },
    command: (words) => words,
    connect: connectHost,
    published: [],
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function readTcpSettings(): Promise<TcpSettings> {
  const read = (name: string) => Deno.readTextFile(`/proc/sys/net/ipv4/${name}`).catch(() => "");
  return { rmem: await read("tcp_rmem"), wmem: await read("tcp_wmem"), release: Deno.osRelease() };
}
