import { type Log, silentLog } from "@/log/mod.ts";
import { DialError, type Pod } from "@/pod/mod.ts";
import { acceptAll, closeQuietly, type Duplex, messageOf, UserError, writeAll } from "@/util/mod.ts";
import { connectHost } from "../connect_host.ts";
import { makeResponder } from "../dns/answer.ts";
import { ownNamesOf, resolvConf } from "../dns/resolver.ts";
import { connDuplex } from "../inject/conn_duplex.ts";
import { type Place, placeProgram } from "../inject/place.ts";
import { chooseMounts } from "../inject/mounts.ts";
import { makePolicy } from "../inject/policy.ts";
import { interfaceAddresses, resolveOnHost } from "../host.ts";
import type { Capture } from "../method.ts";
import { podAddresses } from "../pod_addresses.ts";
import { nsswitchConf } from "./files.ts";
import { takeFirstLine } from "./first_line.ts";
import { formatConnect, parseAnswer, parseOpening } from "./protocol.ts";
import { publishPorts } from "./publish.ts";
import { routeOf } from "./route.ts";
import { closing, type FlowOptions, inLineTime, serveFlow } from "./serve_flow.ts";

/** Options of {@linkcode startNamespace}. */
export interface NamespaceOptions {
  /** The helper for this machine's architecture: the bytes of the program. */
  readonly helper: Uint8Array<ArrayBuffer>;
  /** Directories for the helper and the sockets, the most wanted first. @default {["/tmp"]} */
  readonly directories?: readonly string[];
  /** Addresses, ranges (CIDR) and names that stay on the host, beside its own: the API server, `--never-proxy`. */
  readonly neverProxy?: readonly string[];
  /** The name by which the pod knows itself: its addresses become those of the inside. */
  readonly podName?: string;
  /** Ports of the inside that are to be reached on the host's loopback too. @default {[]} */
  readonly publish?: readonly number[];
  /** Directories that programs must find as the host has them, whatever of the pod is shown. @default {the working one} */
  readonly neededDirectories?: readonly string[];
  /** The host's own name. @default {Deno.hostname()} */
  readonly hostname?: string;
  /** The addresses of the host's interfaces, whenever it is called. @default {those of a second ago at most} */
  readonly ownAddresses?: () => readonly string[];
  readonly log?: Log;
  /** Stops the capture, as disposing it does. */
  readonly signal?: AbortSignal;
}

/** What the inside has for an address of its own where the pod's is not known (RFC 6333, section 5.7). */
const NAMELESS = "192.0.0.2";
/** How many files of the pod the helper lays over others (netns/netns.h). */
const MOST_SHOWN = 64;

/**
 * Starts carrying by a network namespace: the sockets at which the helper's relay will ask. The namespace itself comes
 * into being with the command, which {@linkcode Capture.command} has the helper start.
 *
 * @throws {UserError} when the helper cannot be placed
 */
export async function startNamespace(pod: Pod, options: NamespaceOptions): Promise<Capture> {
  const { helper, directories = ["/tmp"], neverProxy = [], podName, publish = [], log = silentLog, signal } = options;
  const { hostname = Deno.hostname(), ownAddresses = interfaceAddresses(), neededDirectories = [Deno.cwd()] } = options;
  signal?.throwIfAborted();
  await using stack = new AsyncDisposableStack();
  const ending = new AbortController();
  const end = () => ending.abort(new Error("namespace has ended"));
  const place = stack.use(await placeProgram(helper, directories, "netns"));
  const words = [...await bindWords(place), ...await addressWords(pod, podName, log)];
  const listener = stack.use(Deno.listen({ transport: "unix", path: place.socket }));
  const inside = `${place.socket}.inside`;
  let showing: readonly string[] = [];
  const publishing = { log, signal: ending.signal };
  const published = stack.use(publishPorts(publish, (port) => connectInside(inside, port), publishing));
  const connect = async (port: number) => {
    try {
      return await connectInside(inside, port);
    } catch (error) {
      // Not in this command, but perhaps beside it: started in an editor, say.
      if (!(error instanceof DialError) || published.has(port)) throw error;
      return await connectHost(port);
    }
  };

  const policy = makePolicy({ neverProxy, hostname, ownAddresses, resolve: resolveOnHost });
  const responder = makeResponder(pod, { ownNames: ownNamesOf(policy), log, signal: ending.signal });
  const { promise: lost, reject: lose } = Promise.withResolvers<void>();
  lost.catch(() => {}); // who cares awaits it

  const serve = async (conn: Duplex) => {
    using _open = closing([conn], ending.signal);
    const first = await inLineTime(conn, () => takeFirstLine(conn));
    if (first === undefined) return;
    const opening = parseOpening(first.line);
    if (opening.kind === "life") {
      await first.rest.read(new Uint8Array(1)).catch(() => null);
      if (!ending.signal.aborted) lose(new UserError("The relay of the command's network has ended"));
      return;
    }
    if (opening.kind !== "machine") await serveFlow(first.rest, opening, flows);
  };
  const flows: FlowOptions = {
    pod,
    route: (to) => routeOf(to, policy, published.has),
    responder: () => responder,
    log,
    signal: ending.signal,
  };

  const serving = new Set<Promise<void>>();
  const accept = (conn: Deno.UnixConn) => {
    const call: Promise<void> = serve(connDuplex(conn))
      .catch((error) => log.debug(`namespace: ${messageOf(error)}`))
      .finally(() => serving.delete(call));
    serving.add(call);
  };
  const accepting = acceptAll(listener, accept, (error) => log.debug(`cannot accept: ${messageOf(error)}`));
  stack.defer(async () => {
    end();
    await Promise.allSettled(serving);
  });
  signal?.addEventListener("abort", end, { once: true });
  stack.defer(() => signal?.removeEventListener("abort", end));
  log.info(`namespace: helper ${place.shim}, ${words.join(" ")}`);
  const owned = stack.move();
  return {
    closed: Promise.race([accepting, lost]),
    environment: (inherited) => ({ ...inherited }),
    async show({ files }) {
      const { shown, hidden } = await chooseMounts(files, { needed: [...neededDirectories, place.directory] });
      const scratch = `${place.directory}/root`;
      await Deno.mkdir(scratch, { recursive: true });
      const fitting = shown.slice(0, MOST_SHOWN);
      const more = shown.slice(MOST_SHOWN).map(({ pod }) => ({ path: pod, reason: "too many" }));
      showing = ["--scratch", scratch, ...fitting.flatMap(({ pod, host }) => ["--show", host, "--at", pod])];
      return [...hidden, ...more];
    },
    command: (
      command,
    ) => [place.shim, "--control", place.socket, "--inside", inside, ...words, ...showing, "--", ...command],
    connect,
    published: published.ports,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Connects to a port on which something inside listens, on either loopback address. @throws {DialError} */
async function connectInside(path: string, port: number): Promise<Duplex> {
  let code: ReturnType<typeof parseAnswer> = "ECONNREFUSED";
  for (const address of ["127.0.0.1", "::1"]) {
    let conn: Duplex;
    try {
      conn = connDuplex(await Deno.connect({ transport: "unix", path }));
    } catch {
      break; // the command has not started, or is over
    }
    try {
      await writeAll(conn, formatConnect({ address, port }));
      const first = await takeFirstLine(conn);
      code = first === undefined ? "ECONNREFUSED" : parseAnswer(first.line);
      if (first && code === "ok") return first.rest;
      closeQuietly(conn);
    } catch (error) {
      closeQuietly(conn);
      throw error;
    }
  }
  const errno = code === "ok" ? "ECONNREFUSED" : code;
  throw new DialError(errno, `Nothing listens on port ${port} inside: ${errno}`);
}

/** What is laid over the host's files: see {@linkcode nsswitchConf}. */
async function bindWords(place: Place): Promise<string[]> {
  const words: string[] = [];
  const bind = async (path: string, make: (host: string) => string) => {
    const host = await Deno.readTextFile(path).catch(() => undefined);
    if (host === undefined) return; // libc has the same defaults then
    const own = `${place.directory}/${path.replaceAll("/", "-").slice(1)}`;
    await Deno.writeTextFile(own, make(host));
    await Deno.chmod(own, 0o644);
    words.push("--bind", `${own}=${path}`);
  };
  await bind("/etc/resolv.conf", resolvConf);
  await bind("/etc/nsswitch.conf", nsswitchConf);
  // nscd would answer with what it knows of the host's names; its socket is not there for who finds a file in its place.
  if (await Deno.stat("/run/nscd/socket").catch(() => undefined)) words.push("--bind", "/dev/null=/run/nscd/socket");
  return words;
}

/** The pod's addresses, so that programs see the same ones for themselves. */
async function addressWords(pod: Pod, podName: string | undefined, log: Log): Promise<string[]> {
  const own = (await podAddresses(pod, podName, { log })).slice(0, 8);
  return (own.some((address) => !address.includes(":")) ? own : [NAMELESS, ...own.slice(0, 7)])
    .flatMap((address) => ["--address", address]);
}
