/**
 * Watching a list, for as long as somebody listens.
 *
 * Theory of operation. A watch is one long answer of JSON lines, each an event. It ends often: by the server's own
 * timeout, by a lost connection, by 410 when our version is too old for the server's memory. After the first two it is
 * resumed from the last version seen (bookmarks keep that fresh where nothing changes); after 410 the list is read
 * again and compared with what was told before, so that the listener sees each difference as an event.
 *
 * @module
 */
import type { Log } from "@/log/mod.ts";
import { messageOf, sleep } from "@/util/mod.ts";
import * as z from "zod/mini";
import type { Api, ApiRequest } from "./api.ts";
import { ProtocolError } from "./byte_reader.ts";
import { parseAnswer } from "./request_json.ts";
import { metadataSchema, type Resource } from "./resource.ts";
import { isGone, KubeError, parseStatus } from "./status.ts";

/** A change of one object. */
export interface WatchEvent<T> {
  /** `ADDED` also for what is there at the start. */
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  /** The object after the change; for `DELETED`, its last state that is known. */
  readonly object: T;
}

/** Which objects are listed or watched. */
export interface Selection {
  /** @default {the configuration's namespace} */
  readonly namespace?: string;
  /** Whether all namespaces are meant; `namespace` is not looked at then. @default {false} */
  readonly allNamespaces?: boolean;
  /** As in `kubectl -l`: `app=web,tier!=db`. */
  readonly labelSelector?: string;
  /** As in `kubectl --field-selector`: `metadata.name=web`. */
  readonly fieldSelector?: string;
}

/** A selection, and the version after which changes are wanted. */
export interface WatchSelection extends Selection {
  /** Of an earlier list. Without it, what is there comes first, as `ADDED`. */
  readonly resourceVersion?: string;
}

/** What {@linkcode watchObjects} needs. */
export interface WatchSeams extends Required<Pick<ApiRequest, "path" | "action" | "access">> {
  readonly api: Api;
  readonly log: Log;
  /** Lists what the watch selects. */
  list(signal: AbortSignal | undefined): Promise<{ items: unknown[]; resourceVersion: string }>;
}

/**
 * The server ends a watch after this, so that one whose connection died without a word is noticed by our own limit,
 * a little later.
 */
const WATCH_SECONDS = 240;
const SILENT_MS = (WATCH_SECONDS + 30) * 1000;
/** Pause before a watch is resumed after an error: doubles up to the second. */
const FIRST_PAUSE_MS = 200;
const LAST_PAUSE_MS = 15_000;
/** Longest line: an object (1.5 MiB in the server's store), its JSON longer than what is stored. */
const MAX_LINE_CHARS = 64 * 1024 * 1024;

const eventSchema = z.object({ type: z.string(), object: z.unknown() });
const identitySchema = z.object({ metadata: metadataSchema });
const versionSchema = z.object({ metadata: z.object({ resourceVersion: z.string() }) });

/**
 * Changes of the selected objects, in the server's order. Goes on until the iterator is closed or `signal` aborts;
 * ends with an error when the server refuses (403, 404 for an unknown resource), or at once when the first request
 * does not reach it.
 *
 * @throws {KubeError} as above; the signal's reason
 */
export async function* watchObjects<T>(
  resource: Resource<T>,
  where: WatchSelection,
  seams: WatchSeams,
  signal: AbortSignal | undefined,
): AsyncGenerator<WatchEvent<T>, void, void> {
  const known = new Map<string, unknown>();
  let understood = true;
  const parse = (object: unknown) => {
    understood = false; // an object that we cannot read is sent again as it is: no use in another watch
    const parsed = parseAnswer(resource.parse, object, seams.action);
    understood = true;
    return parsed;
  };
  let version = where.resourceVersion;
  let pause = 0;
  let reached = false;
  const onOpen = () => reached = true;
  for (;;) {
    try {
      if (version === undefined) {
        const { items, resourceVersion } = await seams.list(signal);
        version = resourceVersion;
        yield* differences(items, known, { parse, action: seams.action });
      }
      pause ||= FIRST_PAUSE_MS; // for a server that ends every watch at once
      for await (const { type, object } of readEvents(where, version, { ...seams, onOpen }, signal)) {
        pause = 0;
        if (type === "ERROR") throw eventError(resource, object);
        version = parseAnswer(versionSchema.parse, object, seams.action).metadata.resourceVersion;
        if (type !== "ADDED" && type !== "MODIFIED" && type !== "DELETED") continue; // BOOKMARK
        const { uid } = parseAnswer(identitySchema.parse, object, seams.action).metadata;
        if (type === "DELETED") known.delete(uid);
        else known.set(uid, object);
        yield { type, object: parse(object) };
      }
    } catch (error) {
      signal?.throwIfAborted();
      if (isGone(error)) version = undefined;
      else if (!reached || !understood || error instanceof KubeError && error.status < 500 && error.status !== 429) {
        throw error;
      }
      seams.log.debug(`watch of ${resource.plural} ended: ${messageOf(error)}`);
      pause = Math.min(pause * 2 || (version === undefined ? 1 : FIRST_PAUSE_MS), LAST_PAUSE_MS);
    }
    signal?.throwIfAborted();
    await sleep(pause, signal);
  }
}

/** Events that lead from what was known to what is there now. */
function* differences<T>(
  items: unknown[],
  known: Map<string, unknown>,
  { parse, action }: { parse: (value: unknown) => T; action: string },
): Generator<WatchEvent<T>> {
  const gone = new Map(known);
  for (const object of items) {
    const { uid, resourceVersion } = parseAnswer(identitySchema.parse, object, action).metadata;
    const before = known.get(uid);
    gone.delete(uid);
    known.set(uid, object);
    if (before === undefined) yield { type: "ADDED", object: parse(object) };
    else if (versionSchema.parse(before).metadata.resourceVersion !== resourceVersion) {
      yield { type: "MODIFIED", object: parse(object) };
    }
  }
  for (const [uid, object] of gone) {
    known.delete(uid);
    yield { type: "DELETED", object: parse(object) };
  }
}

/** The events of one request; `onOpen` is told when the server begins to answer. */
async function* readEvents(
  where: Selection,
  resourceVersion: string,
  { api, path, action, access, onOpen }: WatchSeams & { onOpen: () => void },
  signal: AbortSignal | undefined,
): AsyncGenerator<z.infer<typeof eventSchema>> {
  const silent = new AbortController();
  let timer = setTimeout(() => silent.abort(new Error("nothing came for too long")), SILENT_MS);
  const either = signal ? AbortSignal.any([signal, silent.signal]) : silent.signal;
  try {
    using response = await api.request({
      method: "GET",
      path,
      action,
      access,
      query: [
        ...selectors(where),
        ["watch", "true"],
        ["allowWatchBookmarks", "true"],
        ["resourceVersion", resourceVersion],
        ["timeoutSeconds", String(WATCH_SECONDS)],
      ],
    }, either);
    onOpen();
    for await (const line of readLines(response)) {
      clearTimeout(timer);
      timer = setTimeout(() => silent.abort(new Error("nothing came for too long")), SILENT_MS);
      yield parseAnswer((text) => eventSchema.parse(JSON.parse(String(text))), line, action);
    }
  } finally {
    clearTimeout(timer);
  }
}

/** The query of a selection. */
export function selectors({ labelSelector, fieldSelector }: Selection): [string, string][] {
  return [
    ...(labelSelector === undefined ? [] : [["labelSelector", labelSelector] as [string, string]]),
    ...(fieldSelector === undefined ? [] : [["fieldSelector", fieldSelector] as [string, string]]),
  ];
}

/** Lines of UTF-8 text, each as soon as it is whole; a last one without its end is dropped. */
export async function* readLines(source: { read(into: Uint8Array): Promise<number | null> }): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(32 * 1024);
  let text = "";
  for (let count; (count = await source.read(buffer)) !== null;) {
    const searched = text.length;
    text += decoder.decode(buffer.subarray(0, count), { stream: true });
    let start = 0;
    for (let end = text.indexOf("\n", searched); end >= 0; end = text.indexOf("\n", start)) {
      const line = text.slice(start, end);
      start = end + 1;
      if (line.trim() !== "") yield line;
    }
    text = text.slice(start);
    if (text.length > MAX_LINE_CHARS) {
      throw new ProtocolError("Cannot read a line of the API server's answer: it is too long");
    }
  }
}

function eventError(resource: Resource<unknown>, object: unknown): KubeError {
  const status = parseStatus(object);
  const words = status?.message || "the server ended the watch with an error";
  return new KubeError(`Cannot watch ${resource.plural}: ${words}`, {
    status: status?.code || 500,
    reason: status?.reason ?? "",
    words,
  });
}
