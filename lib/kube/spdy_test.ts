import assert from "node:assert/strict";
import { constants, createInflate } from "node:zlib";
import { cuttings, randomBytes, scriptedDuplex } from "./_test_server.ts";
import { ByteReader, ProtocolError } from "./byte_reader.ts";
import { SpdyConnection } from "./spdy.ts";

const encode = (text: string) => new TextEncoder().encode(text);

/** A control frame, as bytes. */
function control(type: number, payload: readonly number[], flags = 0): number[] {
  return [0x80, 3, 0, type, flags, 0, payload.length >> 8, payload.length & 255, ...payload];
}

/** A data frame, as bytes. */
function data(stream: number, text: string, flags = 0): number[] {
  const bytes = encode(text);
  return [0, 0, 0, stream, flags, 0, bytes.length >> 8, bytes.length & 255, ...bytes];
}

function open(bytes: readonly number[] | Uint8Array, cuts: readonly number[] = []) {
  const duplex = scriptedDuplex(new Uint8Array(bytes), cuts);
  return { duplex, spdy: new SpdyConnection(duplex, new ByteReader(duplex, 1024)) };
}

/** Everything that comes, as texts. */
async function story(spdy: SpdyConnection): Promise<string[]> {
  const told: string[] = [];
  for (let event; (event = await spdy.next()) !== undefined;) {
    let text = "";
    const buffer = new Uint8Array(3);
    for (let count; (count = await spdy.read(buffer)) !== null;) {
      text += new TextDecoder().decode(buffer.subarray(0, count));
    }
    told.push(`${event.stream} ${event.kind}${text && ` ${text}`}`);
  }
  return told;
}

const SYN_REPLY = 2;
const RST_STREAM = 3;
const SETTINGS = 4;
const PING = 6;
const GOAWAY = 7;

Deno.test("SpdyConnection reads the same streams however the bytes are cut", async () => {
  const bytes = [
    ...control(SETTINGS, [0, 0, 0, 0]),
    ...control(SYN_REPLY, [0, 0, 0, 1, ...randomBytes(30, 1)]),
    ...data(3, "hello"),
    ...control(PING, [0, 0, 0, 2]),
    ...control(PING, [0, 0, 0, 1]), // an answer to a ping that we never sent
    ...data(3, ""),
    ...data(3, " world", 1),
    ...control(8, [0, 0, 0, 1], 1),
    ...control(GOAWAY, [0, 0, 0, 0, 0, 0, 0, 0]),
    ...control(RST_STREAM, [0, 0, 0, 5, 0, 0, 0, 1]),
  ];
  for (const cuts of cuttings(bytes.length)) {
    const { spdy, duplex } = open(bytes, cuts);
    assert.deepEqual(await story(spdy), ["3 data hello", "3 data", "3 data  world", "3 end", "1 end", "5 reset"]);
    assert.deepEqual(duplex.sent, control(PING, [0, 0, 0, 2]));
  }
});

Deno.test("SpdyConnection opens streams with headers that an inflater reads one after another", async () => {
  const { spdy, duplex } = open([]);
  assert.equal(await spdy.open({ streamtype: "error", port: "80" }), 1);
  assert.equal(await spdy.open({ streamtype: "data" }), 3);
  const inflate = createInflate({ finishFlush: constants.Z_SYNC_FLUSH });
  const reader = new ByteReader(scriptedDuplex(new Uint8Array(duplex.sent)));
  const blocks: string[] = [];
  for (const stream of [1, 3]) {
    assert.ok(await reader.need(18));
    const frame = reader.buffered.slice();
    const length = new DataView(frame.buffer).getUint32(4);
    assert.deepEqual([...frame.subarray(0, 4)], [0x80, 3, 0, 1]);
    assert.equal(new DataView(frame.buffer).getUint32(8), stream);
    const { promise, resolve } = Promise.withResolvers<Uint8Array>();
    inflate.once("data", resolve);
    inflate.write(frame.subarray(18, 8 + length));
    blocks.push(new TextDecoder().decode(await promise));
    reader.consume(8 + length);
  }
  inflate.destroy();
  const text = (value: string) => `\0\0\0${String.fromCharCode(value.length)}${value}`;
  assert.deepEqual(blocks, [
    `\0\0\0\x02${text("streamtype")}${text("error")}${text("port")}${text("80")}`,
    `\0\0\0\x01${text("streamtype")}${text("data")}`,
  ]);
});

Deno.test("SpdyConnection.write() takes 128 KiB at most, end() ends a stream", async () => {
  const { spdy, duplex } = open([]);
  assert.equal(await spdy.write(3, new Uint8Array(200_000)), 131_072);
  assert.equal(await spdy.write(3, encode("abc")), 3);
  await spdy.end(3);
  assert.deepEqual(duplex.sent.slice(0, 8), [0, 0, 0, 3, 0, 2, 0, 0]);
  assert.deepEqual(duplex.sent.slice(8 + 131_072), [...data(3, "abc"), ...data(3, "", 1)]);
});

Deno.test("SpdyConnection refuses another version, and an end in the middle", async () => {
  for (const bytes of [[0x80, 2, 0, 1, 0, 0, 0, 0], [0x80], data(3, "abc").slice(0, 9)]) {
    await assert.rejects(story(open(bytes).spdy), ProtocolError);
  }
});

Deno.test("SpdyConnection survives random bytes", async () => {
  for (let seed = 0; seed < 300; seed++) {
    await story(open(randomBytes(200, seed)).spdy).catch((error) =>
      assert.ok(error instanceof ProtocolError, String(error))
    );
    const start = [...control(SETTINGS, []), 0x80, 3, 0];
    await story(open([...start, ...randomBytes(200, seed)]).spdy)
      .catch((error) => assert.ok(error instanceof ProtocolError, String(error)));
  }
});
