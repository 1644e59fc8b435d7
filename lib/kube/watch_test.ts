import { silentLog } from "@/log/mod.ts";
import { UserError, writeAll } from "@/util/mod.ts";
import assert from "node:assert/strict";
import {
  cuttings,
  randomBytes,
  scriptedDuplex,
  type SeenRequest,
  startServer,
  type TestServer,
  writeText,
} from "./_test_server.ts";
import type { Api } from "./api.ts";
import { openKubeClient } from "./open_kube_client.ts";
import { configMaps } from "./objects.ts";
import { isForbidden } from "./status.ts";
import { readLines, watchObjects } from "./watch.ts";

const object = (uid: string, version: number, data: Record<string, string> = {}) => ({
  metadata: { name: uid, uid, resourceVersion: String(version) },
  data,
});
const event = (type: string, object: unknown) => JSON.stringify({ type, object }) + "\n";
const gone = { kind: "Status", status: "Failure", code: 410, reason: "Expired", message: "too old" };

/** What the server does with one request. */
type Turn =
  | { list: unknown[]; version: number }
  | { events: string; then: "end" | "drop" | "hold" }
  | { refuse: number };

/** A server that takes one turn for each request. */
function scripted(turns: Turn[]): TestServer {
  return startServer({
    async answer({ conn }) {
      const turn = turns.shift();
      if (turn === undefined) return { status: 500, body: "no more turns" };
      if ("list" in turn) return { body: { metadata: { resourceVersion: String(turn.version) }, items: turn.list } };
      if ("refuse" in turn) {
        return { status: turn.refuse, body: { kind: "Status", status: "Failure", code: turn.refuse, message: "no" } };
      }
      const { events, then } = turn;
      const size = new TextEncoder().encode(events).length.toString(16);
      await writeText(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      if (events !== "") await writeText(conn, `${size}\r\n${events}\r\n`);
      if (then === "end") await writeText(conn, "0\r\n\r\n");
      if (then === "hold") await conn.read(new Uint8Array(1));
      return undefined;
    },
  });
}

const askedFrom = (seen: readonly SeenRequest[]) => seen.map(({ url }) => url.searchParams.get("resourceVersion"));

/** The first `count` events as `ADDED a@1`. */
async function take(server: TestServer, count: number, resourceVersion?: string): Promise<string[]> {
  await using kube = openKubeClient(server.config());
  const seen: string[] = [];
  const where = resourceVersion === undefined ? {} : { resourceVersion };
  for await (const { type, object } of kube.watch(configMaps, where)) {
    seen.push(`${type} ${object.metadata.name}@${object.metadata.resourceVersion}`);
    if (seen.length === count) break;
  }
  return seen;
}

Deno.test("watch() begins with what is there, and goes on from there", async () => {
  await using server = scripted([
    { list: [object("a", 1), object("b", 2)], version: 5 },
    { events: event("MODIFIED", object("a", 6)) + event("DELETED", object("b", 7)), then: "hold" },
  ]);
  assert.deepEqual(await take(server, 4), ["ADDED a@1", "ADDED b@2", "MODIFIED a@6", "DELETED b@7"]);
  assert.deepEqual(askedFrom(server.seen), [null, "5"]);
  assert.equal(server.seen[1]?.url.searchParams.get("allowWatchBookmarks"), "true");
});

Deno.test("watch() resumes after the server's end and after a lost connection, from the last bookmark", async () => {
  await using server = scripted([
    {
      events: event("ADDED", object("a", 11)) + event("BOOKMARK", { metadata: { resourceVersion: "20" } }),
      then: "end",
    },
    { events: event("MODIFIED", object("a", 21)), then: "drop" },
    { events: event("MODIFIED", object("a", 22)), then: "hold" },
  ]);
  assert.deepEqual(await take(server, 3, "10"), ["ADDED a@11", "MODIFIED a@21", "MODIFIED a@22"]);
  assert.deepEqual(askedFrom(server.seen), ["10", "20", "21"]);
});

Deno.test("watch() resumes when the very first connection of it breaks, also before its first event", async () => {
  await using server = scripted([
    { list: [object("a", 1)], version: 5 },
    { events: event("MODIFIED", object("a", 6)), then: "drop" },
    { events: event("MODIFIED", object("a", 7)), then: "hold" },
    { list: [object("a", 1)], version: 5 },
    { events: "", then: "drop" },
    { events: event("MODIFIED", object("a", 6)), then: "hold" },
  ]);
  assert.deepEqual(await take(server, 3), ["ADDED a@1", "MODIFIED a@6", "MODIFIED a@7"]);
  assert.deepEqual(await take(server, 2), ["ADDED a@1", "MODIFIED a@6"]);
});

Deno.test("watch() lists again after 410, and tells each difference", async () => {
  await using server = scripted([
    { list: [object("same", 1), object("changed", 2), object("gone", 3)], version: 5 },
    { events: event("ERROR", gone), then: "end" },
    { list: [object("same", 1), object("changed", 8), object("new", 9)], version: 10 },
    { events: event("MODIFIED", object("new", 11)), then: "hold" },
  ]);
  assert.deepEqual((await take(server, 7)).slice(3), [
    "MODIFIED changed@8",
    "ADDED new@9",
    "DELETED gone@3",
    "MODIFIED new@11",
  ]);
  assert.deepEqual(askedFrom(server.seen), [null, "5", null, "10"]);
});

Deno.test("watch() lists again when the request itself is answered with 410", async () => {
  await using server = scripted([
    { refuse: 410 },
    { list: [object("a", 1)], version: 5 },
  ]);
  assert.deepEqual(await take(server, 1, "1"), ["ADDED a@1"]);
});

Deno.test("watch() throws when an object is not what it should be", async () => {
  await using server = scripted([
    { list: [], version: 1 },
    { events: event("ADDED", { ...object("a", 2), data: [] }), then: "hold" },
  ]);
  await assert.rejects(take(server, 1), /Cannot watch configmaps in namespace "default": .* not what it should be/);
});

Deno.test("watch() throws what the server refuses", async () => {
  await using server = scripted([{ refuse: 403 }, { list: [], version: 1 }, { refuse: 403 }]);
  await assert.rejects(take(server, 1), isForbidden);
  await assert.rejects(take(server, 1), isForbidden);
});

Deno.test("watch() ends with the signal's reason, and leaving it closes the connection", async () => {
  await using server = scripted([
    { list: [], version: 1 },
    { events: event("ADDED", object("a", 2)), then: "hold" },
    { list: [], version: 1 },
    { events: event("ADDED", object("a", 2)), then: "hold" },
  ]);
  await using kube = openKubeClient(server.config());
  const controller = new AbortController();
  const reason = new Error("enough");
  await assert.rejects(async () => {
    for await (const _ of kube.watch(configMaps, {}, { signal: controller.signal })) controller.abort(reason);
  }, reason);
  for await (const _ of kube.watch(configMaps)) break; // the server's end is awaited by its disposal
});

Deno.test("readLines() gives the same lines however the bytes are cut", async () => {
  const bytes = new TextEncoder().encode('{"ä":1}\n\n{"b":"€"}\r\nlast without an end');
  for (const cuts of cuttings(bytes.length)) {
    const lines = await Array.fromAsync(readLines(scriptedDuplex(bytes, cuts)));
    assert.deepEqual(lines, ['{"ä":1}', '{"b":"€"}\r']);
  }
});

Deno.test("watch() survives whatever lines a server may send", async () => {
  const good = event("MODIFIED", object("a", 7, { key: "value" }));
  const texts: string[] = ["[", '{"type":"ERROR"}', '{"type":"ADDED","object":null}', "null", "[".repeat(100_000)];
  for (let seed = 0; seed < 60; seed++) {
    const [at = 0, length = 0, ...bytes] = randomBytes(40, seed);
    const noise = new TextDecoder("latin1").decode(new Uint8Array(bytes));
    const place = Math.floor(at / 256 * good.length);
    texts.push(noise, good.slice(0, place) + noise + good.slice(place + length % 20));
  }
  // What cannot be read is another try of the watch; the second one ends the test.
  await Promise.all(texts.map(async (text) => {
    const ended = new AbortController();
    const reason = new Error("enough");
    let requests = 0;
    const api: Api = {
      request() {
        if (++requests > 1) ended.abort(reason);
        const { read } = scriptedDuplex(new TextEncoder().encode(`${text}\n`));
        const response = { headers: new Headers(), read, text: () => Promise.resolve(""), [Symbol.dispose]() {} };
        return Promise.resolve(response);
      },
      upgrade: () => Promise.reject(new Error("no")),
      [Symbol.dispose]() {},
    };
    const seams = {
      api,
      log: silentLog,
      path: "/",
      action: "watch",
      access: { verbs: ["watch"], group: "", resource: "configmaps" },
      list: () => Promise.resolve({ items: [], resourceVersion: "1" }),
    } as const;
    const watching = watchObjects(configMaps, { resourceVersion: "1" }, seams, ended.signal);
    await assert.rejects(Array.fromAsync(watching), (error) => error === reason || error instanceof UserError);
  }));
});

Deno.test("watch() takes an event of a megabyte", async () => {
  const large = object("large", 2, { text: "x".repeat(1_000_000) });
  await using server = startServer({
    async answer({ conn, request }) {
      if (!request.url.searchParams.has("watch")) return { body: { metadata: { resourceVersion: "1" }, items: [] } };
      await writeText(conn, "HTTP/1.1 200 OK\r\n\r\n");
      await writeAll(conn, new TextEncoder().encode(event("ADDED", large)));
      await conn.read(new Uint8Array(1));
      return undefined;
    },
  });
  assert.deepEqual(await take(server, 1), ["ADDED large@2"]);
});
