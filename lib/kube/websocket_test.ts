import assert from "node:assert/strict";
import { cuttings, randomBytes, readClientFrame, scriptedDuplex, serverFrame } from "./_test_server.ts";
import { ByteReader, ProtocolError } from "./byte_reader.ts";
import { acceptKey, MAX_SEND_BYTES, WebSocketStream } from "./websocket.ts";

const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

function open(bytes: Uint8Array, cuts: readonly number[] = []) {
  const duplex = scriptedDuplex(bytes, cuts);
  const reader = new ByteReader(duplex, 4096);
  return { duplex, socket: new WebSocketStream(duplex, reader, "test") };
}

/** All messages as texts, up to the peer's Close. */
async function readMessages(socket: WebSocketStream): Promise<string[]> {
  const messages: string[] = [];
  while (await socket.next()) messages.push(new TextDecoder().decode(await socket.readMessage(100_000)));
  return messages;
}

function bytesOf(...frames: Uint8Array[]): Uint8Array {
  return new Uint8Array(frames.flatMap((frame) => [...frame]));
}

const encode = (text: string) => new TextEncoder().encode(text);

Deno.test("WebSocketStream reads the same messages however the bytes are cut", async () => {
  const bytes = bytesOf(
    serverFrame(BINARY, encode("one")),
    serverFrame(BINARY, []),
    serverFrame(PING, encode("are you there")),
    serverFrame(TEXT, encode("fr"), false),
    serverFrame(PONG, []),
    serverFrame(0, encode("ag"), false),
    serverFrame(0, encode("ment")),
    serverFrame(BINARY, encode("x".repeat(300))),
    serverFrame(CLOSE, [0x03, 0xe8, ...encode("bye")]),
  );
  for (const cuts of cuttings(bytes.length)) {
    const { socket, duplex } = open(bytes, cuts);
    assert.deepEqual(await readMessages(socket), ["one", "", "fragment", "x".repeat(300)]);
    assert.deepEqual(socket.closed, { code: 1000, reason: "bye" });
    await socket.sendClose();
    const answers = new ByteReader(scriptedDuplex(new Uint8Array(duplex.sent)));
    const pong = await readClientFrame(answers);
    assert.equal(pong?.opcode, PONG);
    assert.deepEqual(pong?.payload, encode("are you there"));
    const close = await readClientFrame(answers);
    assert.equal(close?.opcode, CLOSE);
    assert.deepEqual([...close?.payload ?? []], [0x03, 0xe8]);
  }
});

Deno.test("WebSocketStream reads lengths of two and of eight bytes", async () => {
  for (const length of [125, 126, 65535, 65536, 90_000]) {
    const { socket } = open(bytesOf(serverFrame(BINARY, randomBytes(length, 1)), serverFrame(CLOSE, [])));
    assert.ok(await socket.next());
    assert.deepEqual(await socket.readMessage(100_000), randomBytes(length, 1));
    assert.equal(await socket.next(), false);
    assert.equal(socket.closed?.code, 1005);
  }
});

Deno.test("WebSocketStream.next() skips what was not read of a message", async () => {
  const { socket } = open(bytesOf(
    serverFrame(BINARY, randomBytes(5000, 1), false),
    serverFrame(0, randomBytes(50, 2)),
    serverFrame(BINARY, encode("next")),
  ));
  assert.ok(await socket.next());
  await socket.read(new Uint8Array(10));
  assert.ok(await socket.next());
  assert.deepEqual(await socket.readMessage(10), encode("next"));
});

const BROKEN: { name: string; bytes: Uint8Array; says: RegExp }[] = [
  { name: "reserved bits", bytes: new Uint8Array([0xc2, 0]), says: /reserved bits/ },
  { name: "a masked frame", bytes: new Uint8Array([0x82, 0x80, 1, 2, 3, 4]), says: /masked/ },
  { name: "an unknown opcode", bytes: serverFrame(3, []), says: /out of order/ },
  { name: "a continuation of nothing", bytes: serverFrame(0, []), says: /out of order/ },
  { name: "a message inside a message", bytes: bytesOf(serverFrame(2, [], false), serverFrame(2, [])), says: /out of/ },
  { name: "a fragmented ping", bytes: serverFrame(PING, [], false), says: /control frame/ },
  { name: "a long ping", bytes: serverFrame(PING, new Uint8Array(126)), says: /control frame/ },
  { name: "2^63 bytes", bytes: new Uint8Array([0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0]), says: /too long/ },
  { name: "an end without a Close", bytes: serverFrame(BINARY, [1]), says: /lost/ },
  { name: "an end in a header", bytes: new Uint8Array([0x82]), says: /lost/ },
  { name: "an end in a payload", bytes: serverFrame(BINARY, [1, 2, 3]).subarray(0, 4), says: /lost/ },
  {
    name: "a Close inside a message",
    bytes: bytesOf(serverFrame(2, [1], false), serverFrame(CLOSE, [])),
    says: /middle of a message/,
  },
];

Deno.test("WebSocketStream refuses what breaks the protocol", async (t) => {
  for (const { name, bytes, says } of BROKEN) {
    await t.step(name, async () => {
      const { socket } = open(bytes);
      await assert.rejects(readMessages(socket), (error) => {
        assert.ok(error instanceof ProtocolError);
        assert.match(error.message, says);
        return true;
      });
    });
  }
});

Deno.test("WebSocketStream takes a length it is promised without allocating it", async () => {
  const { socket } = open(new Uint8Array([0x82, 127, 0, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]));
  assert.ok(await socket.next());
  assert.equal(await socket.read(new Uint8Array(100)), 3);
  await assert.rejects(() => socket.read(new Uint8Array(100)), ProtocolError);
});

Deno.test("WebSocketStream survives random bytes", async () => {
  for (let seed = 0; seed < 300; seed++) {
    const { socket } = open(randomBytes(200, seed));
    await readMessages(socket).catch((error) => assert.ok(error instanceof ProtocolError, String(error)));
  }
});

Deno.test("WebSocketStream.send() makes one masked frame of each message, of any length", async () => {
  const { socket, duplex } = open(new Uint8Array());
  const lengths = [0, 1, 2, 3, 4, 5, 124, 125, 126, 4000, 65534, 65535, 65536, MAX_SEND_BYTES];
  for (const length of lengths) await socket.send(7, randomBytes(length, length));
  const reader = new ByteReader(scriptedDuplex(new Uint8Array(duplex.sent)));
  for (const length of lengths) {
    const frame = await readClientFrame(reader);
    assert.ok(frame?.final && frame.masked && frame.opcode === BINARY);
    assert.deepEqual(frame.payload, new Uint8Array([7, ...randomBytes(length, length)]));
  }
  assert.equal(await readClientFrame(reader), undefined);
});

Deno.test("WebSocketStream sends frames whole and in order when several are sent at once", async () => {
  const sent: number[] = [];
  const slow = {
    ...scriptedDuplex(new Uint8Array()),
    async write(part: Uint8Array) {
      await Promise.resolve();
      const [first = 0] = part; // a byte at a time
      sent.push(first);
      return 1;
    },
  };
  const socket = new WebSocketStream(slow, new ByteReader(slow), "test");
  await Promise.all([1, 2, 3].map((channel) => socket.send(channel, randomBytes(50, channel))));
  const reader = new ByteReader(scriptedDuplex(new Uint8Array(sent)));
  for (const channel of [1, 2, 3]) {
    assert.deepEqual((await readClientFrame(reader))?.payload, new Uint8Array([channel, ...randomBytes(50, channel)]));
  }
});

Deno.test("acceptKey() answers the RFC's example", async () => {
  assert.equal(await acceptKey("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="); // RFC 6455, section 1.3
});
