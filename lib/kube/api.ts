/**
 * Requests to one API server: connections that are used again, identity, impersonation, another try where the server
 * asks for one. Knows HTTP and `Status`, not resources.
 *
 * @module
 */
import { type Log, silentLog } from "@/log/mod.ts";
import { type Duplex, messageOf, reasonOf, sleep, UserError } from "@/util/mod.ts";
import { ByteReader } from "./byte_reader.ts";
import type { ClusterConfig } from "./cluster_config.ts";
import { openCredentials } from "./credentials.ts";
import type { Identity } from "./identity.ts";
import { dial, type RuntimeAuthorities } from "./dial.ts";
import type { PluginRunner } from "./exec_plugin.ts";
import { type Access, refusalHints } from "./hints.ts";
import { type HttpHead, type HttpResponse, openBody, readHead, sendRequest } from "./http.ts";
import { KubeError, parseStatusText } from "./status.ts";

/** One request, in the API's terms. */
export interface ApiRequest {
  readonly method: "GET" | "POST" | "PATCH" | "PUT" | "DELETE";
  /** Path below the server's own, already escaped, with a slash at its start. */
  readonly path: string;
  readonly query?: readonly (readonly [string, string])[];
  readonly headers?: readonly (readonly [string, string])[];
  /** Sent as JSON. */
  readonly body?: unknown;
  /** The sort of JSON that `body` is. @default {"application/json"} */
  readonly contentType?: string;
  /** What is being done, for the message of an error: `get pod "web"`. */
  readonly action: string;
  /** The rule that it takes, to be told when it is refused. */
  readonly access?: Access;
  /** Told of a refusal that names a time to come again, before that is waited for. */
  readonly onBusy?: ((refusal: KubeError) => void) | undefined;
}

/** An answer with a status of success. Disposing it before its end gives its connection up. */
export interface ApiResponse extends Disposable {
  readonly headers: Headers;
  /** Reads some of the body; `null` at its end. */
  read(into: Uint8Array): Promise<number | null>;
  /** The rest of the body. */
  text(): Promise<string>;
}

/** A connection that was made and then broke, before or in the middle of an answer: whether anything was done is not known. */
export class ConnectionLost extends UserError {
  override readonly name = "ConnectionLost";
}

/** A connection that changed its protocol. */
export interface Upgraded {
  readonly duplex: Duplex;
  /** In front of `duplex`: may hold its first bytes already. */
  readonly reader: ByteReader;
  readonly headers: Headers;
}

/** The way to one API server. Disposing it closes the connections that wait for a next request. */
export interface Api extends Disposable {
  /** @throws {KubeError} for an answer that is no success, {UserError} when there is no connection */
  request(request: ApiRequest, signal?: AbortSignal): Promise<ApiResponse>;
  /** Asks for another protocol; `request.headers` has `Upgrade` and what belongs to it. Throws as `request` does. */
  upgrade(request: ApiRequest, signal?: AbortSignal): Promise<Upgraded>;
}

/** A body that is no stream ends here; a page of a list of the largest objects (1.5 MiB each) stays below. */
const MAX_BODY_BYTES = 1024 * 1024 * 1024;
/** Load balancers drop idle connections from 20 s on, some without a word. */
const IDLE_MS = 15_000;
/** Nobody closes a connection that waited no longer than this. */
const FRESH_MS = 3_000;
/** As client-go. */
const MAX_RETRIES = 10;
const MAX_RETRY_AFTER_S = 60;

interface Line {
  readonly duplex: Duplex;
  readonly reader: ByteReader;
  readonly identity: Identity;
  idleSince: number;
}

/** Options of {@linkcode openApi}. */
export interface ApiOptions {
  readonly log?: Log;
  /** How credential plugins are started. @default {without a terminal} */
  readonly pluginRunner?: PluginRunner;
  /** @default {10 s} */
  readonly connectTimeoutMs?: number;
  /**
   * `none` says that the runtime trusts nobody by itself: its list was emptied before the first use of TLS, by
   * `DENO_TLS_CA_STORE=""`. Connections to a server whose authorities are named can then take a way that is about twice
   * as fast, and trust those alone all the same.
   *
   * @default {"some"}
   */
  readonly runtimeAuthorities?: RuntimeAuthorities;
}

/** Opens the way to an API server. Nothing is sent before the first request. */
export function openApi(cluster: ClusterConfig, options: ApiOptions = {}): Api {
  const { log = silentLog, connectTimeoutMs: timeoutMs, runtimeAuthorities } = options;
  const credentials = openCredentials(cluster, options);
  const base = new URL(cluster.server);
  const prefix = base.pathname.replace(/\/+$/, "");
  const idle: Line[] = [];
  let closed = false;

  return {
    async request(request, signal) {
      for (let tries = 0;; tries++) {
        const { response, identity, release } = await exchange(request, signal);
        if (response.status >= 200 && response.status < 300) return apiResponse(response, release);
        const error = refusal(cluster, request, response, await rest(response).finally(release));
        if (!await again(error, response.headers, request, { identity, tries, signal })) throw error;
      }
    },
    async upgrade(request, signal) {
      for (let tries = 0;; tries++) {
        const line = await open(signal);
        const stop = () => line.duplex.close();
        signal?.addEventListener("abort", stop, { once: true });
        try {
          signal?.throwIfAborted();
          await send(line, request);
          const head = await headOf(line);
          signal?.throwIfAborted();
          if (head.status === 101) return { duplex: line.duplex, reader: line.reader, headers: head.headers };
          const response = openBody(line.reader, head, request.method);
          const error = refusal(cluster, request, response, await rest(response));
          line.duplex.close();
          if (!await again(error, head.headers, request, { identity: line.identity, tries, signal })) throw error;
        } catch (error) {
          line.duplex.close();
          signal?.throwIfAborted();
          throw broken(request)(error);
        } finally {
          signal?.removeEventListener("abort", stop);
        }
      }
    },
    [Symbol.dispose]() {
      closed = true;
      for (const line of idle.splice(0)) line.duplex.close();
      credentials[Symbol.dispose]();
    },
  };

  /** Sends a request and reads the head of its answer, over a waiting connection where that is safe. */
  async function exchange(request: ApiRequest, signal: AbortSignal | undefined) {
    for (;;) {
      const used = await reuse(request, signal);
      const line = used ?? await open(signal);
      const stop = () => line.duplex.close();
      signal?.addEventListener("abort", stop, { once: true });
      const release = () => {
        signal?.removeEventListener("abort", stop);
        if (response?.reusable && !signal?.aborted && !closed) {
          line.idleSince = performance.now();
          idle.push(line);
        } else {
          line.duplex.close();
        }
      };
      let response: HttpResponse | undefined;
      try {
        signal?.throwIfAborted(); // it may have come while we waited for the connection, before anybody listened
        await send(line, request);
        response = openBody(line.reader, await headOf(line), request.method);
        return { response: guardedBody(response, signal, broken(request)), identity: line.identity, release };
      } catch (error) {
        release();
        signal?.throwIfAborted();
        // The server had closed a connection that waited: nothing is known to be wrong, and `reuse` allowed this.
        if (used === undefined || request.method === "POST") throw broken(request)(error);
        log.debug(`connection was closed while idle: ${messageOf(error)}`);
      }
    }
  }

  /**
   * A connection that waits. A request that must not be done twice (POST) gets a fresh one alone: when a connection
   * breaks, one cannot know whether the server has seen the request, so that it is not sent again.
   */
  async function reuse(request: ApiRequest, signal: AbortSignal | undefined): Promise<Line | undefined> {
    const identity = await credentials.identity(signal);
    const now = performance.now();
    for (let line; (line = idle.pop()) !== undefined;) {
      const same = line.identity.clientCertificate === identity.clientCertificate;
      const fresh = now - line.idleSince < (request.method === "POST" ? FRESH_MS : IDLE_MS);
      if (same && fresh) return { ...line, identity };
      line.duplex.close();
    }
    return undefined;
  }

  async function open(signal: AbortSignal | undefined): Promise<Line> {
    const identity = await credentials.identity(signal);
    const started = performance.now();
    const { clientCertificate } = identity;
    const duplex = await dial(cluster, { clientCertificate, signal, timeoutMs, runtimeAuthorities });
    log.debug(`connected to ${base.host} in ${Math.round(performance.now() - started)} ms`);
    return { duplex, reader: new ByteReader(duplex), identity, idleSince: 0 };
  }

  async function send(line: Line, request: ApiRequest): Promise<void> {
    const query = new URLSearchParams((request.query ?? []).map(([name, value]) => [name, value])).toString();
    const body = request.body === undefined ? undefined : new TextEncoder().encode(JSON.stringify(request.body));
    const target = prefix + request.path + (query && `?${query}`);
    log.debug(`${request.method} ${target}`);
    await sendRequest(line.duplex, {
      method: request.method,
      target,
      headers: [
        ["Host", base.host],
        ["User-Agent", "kube-client (deno)"],
        // An upgrade answers with a stream: the server refuses (406) to make JSON of it.
        ...(request.headers?.some(([name]) => name === "Upgrade") ? [] : [["Accept", "application/json"] as const]),
        ...(body === undefined ? [] : [["Content-Type", request.contentType ?? "application/json"] as const]),
        ...line.identity.headers,
        ...impersonation(cluster),
        ...request.headers ?? [],
      ],
      body,
    });
  }

  async function headOf(line: Line): Promise<HttpHead> {
    const head = await readHead(line.reader);
    if (head !== null) return head;
    throw new Error("it closed the connection without an answer");
  }

  /** The error for a connection that broke: a sentence, where it is the system's or the runtime's own. */
  function broken({ action }: ApiRequest): (error: unknown) => unknown {
    return (error) => {
      if (error instanceof UserError || error instanceof TypeError) return error;
      const state = `lost the connection to the API server at ${base.host}: ${reasonOf(error)}`;
      return new ConnectionLost(`Cannot ${action}: ${state}`, { hints: ["Try: kubectl version"], cause: error });
    };
  }

  /** Whether the request is to be sent again: after 401 with a new identity, after 429 and 503 when the server says so. */
  async function again(
    error: KubeError,
    headers: Headers,
    { onBusy }: ApiRequest,
    { identity, tries, signal }: { identity: Identity; tries: number; signal: AbortSignal | undefined },
  ): Promise<boolean> {
    if (error.status === 401 && tries === 0) return credentials.refused(identity);
    const seconds = Number(headers.get("retry-after") ?? NaN);
    const asked = (error.status === 429 || error.status >= 500) && seconds >= 0;
    if (!asked || tries >= MAX_RETRIES) return false;
    log.debug(`${error.message}; again in ${seconds} s`);
    if (seconds > 0) onBusy?.(error);
    await sleep(Math.min(seconds, MAX_RETRY_AFTER_S) * 1000, signal);
    return true;
  }
}

/** Headers that say whom to act as. */
function impersonation({ impersonate }: ClusterConfig): [string, string][] {
  if (impersonate === undefined) return [];
  const headers: [string, string][] = [["Impersonate-User", impersonate.user]];
  if (impersonate.uid !== undefined) headers.push(["Impersonate-Uid", impersonate.uid]);
  for (const group of impersonate.groups) headers.push(["Impersonate-Group", group]);
  for (const [key, values] of Object.entries(impersonate.extra)) {
    // Keys may hold what a header's name may not; the server takes percent escapes off.
    for (const value of values) headers.push([`Impersonate-Extra-${encodeURIComponent(key)}`, value]);
  }
  return headers;
}

/** The same body; when its connection breaks, reads throw the signal's reason or what `broken` makes of the error. */
function guardedBody(
  response: HttpResponse,
  signal: AbortSignal | undefined,
  broken: (error: unknown) => unknown,
): HttpResponse {
  return {
    status: response.status,
    headers: response.headers,
    get reusable() {
      return response.reusable;
    },
    async read(into) {
      try {
        return await response.read(into);
      } catch (error) {
        signal?.throwIfAborted();
        throw broken(error);
      }
    },
  };
}

function apiResponse(response: HttpResponse, release: () => void): ApiResponse {
  let released = false;
  const done = () => {
    if (!released) release();
    released = true;
  };
  return {
    headers: response.headers,
    async read(into) {
      const count = await response.read(into);
      if (count === null) done();
      return count;
    },
    async text() {
      try {
        return await rest(response);
      } finally {
        done();
      }
    },
    [Symbol.dispose]: done,
  };
}

/** All that is left of a body, as text. */
async function rest(response: HttpResponse): Promise<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(64 * 1024);
  let text = "";
  for (let total = 0, count; (count = await response.read(buffer)) !== null;) {
    total += count;
    if (total > MAX_BODY_BYTES) throw new UserError("Cannot read the API server's answer: it is larger than 1 GiB");
    text += decoder.decode(buffer.subarray(0, count), { stream: true });
  }
  return text + decoder.decode();
}

/** The error for an answer that is no success, in the API's own words where it has any. */
function refusal(cluster: ClusterConfig, request: ApiRequest, { status }: HttpHead, text: string): KubeError {
  const told = parseStatusText(text);
  const page = /^\s*</.test(text) ? "" : text.trim().slice(0, 300);
  const words = told?.message || page || `HTTP status ${status}`;
  return new KubeError(`Cannot ${request.action}: ${words}`, {
    status,
    reason: told?.reason ?? "",
    words,
    causes: told?.causes ?? [],
    hints: refusalHints({ status, words }, request.access, cluster),
  });
}
