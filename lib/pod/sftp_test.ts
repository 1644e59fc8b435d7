import { deepStrictEqual as equals, ok, throws } from "node:assert/strict";
import {
  type Attributes,
  decodeSftpRequest,
  FieldReader,
  MAX_PACKET_BYTES,
  type Packet,
  PacketReader,
  PacketWriter,
  SFTP,
  SftpError,
} from "./mod.ts";

const hex = (text: string) => Uint8Array.fromHex(text.replace(/[\s|]/g, ""));

/** Requests as bytes, put together by hand after the sections of the draft. */
const VECTORS = [
  {
    name: "OPEN for reading and writing, with a mode",
    bytes: "00000019 03 00000007 00000002 2f61 0000000b 00000004 000001a4 ",
    want: { id: 7, request: { ask: "open", path: "/a", flags: 11, attributes: { mode: 0o644 } } },
  },
  {
    name: "READ at 2 GiB and more",
    bytes: "00000019 05 00000001 00000004 00000009 0000000180000001 00010000",
    want: { id: 1, request: { ask: "read", handle: 9, offset: 0x180000001, length: 65536 } },
  },
  {
    name: "WRITE",
    bytes: "0000001c 06 00000002 00000004 00000009 0000000000000003 00000003 616263",
    want: { id: 2, request: { ask: "write", handle: 9, offset: 3, bytes: hex("616263") } },
  },
  {
    name: "SETSTAT of everything",
    bytes: "0000002b 09 00000003 00000002 2f61 0000000f 0000000000000005 000003e8 000007d0 000001ff 00000010 00000020",
    want: {
      id: 3,
      request: {
        ask: "setstat",
        path: "/a",
        attributes: {
          size: 5,
          ids: { user: 1000, group: 2000 },
          mode: 0o777,
          times: { accessed: 16, modified: 32 },
        },
      },
    },
  },
  {
    name: "SETSTAT with an extended attribute, which is passed over",
    bytes: "0000001d 09 00000003 00000001 2f 80000000 00000001 00000001 78 00000002 7979",
    want: { id: 3, request: { ask: "setstat", path: "/", attributes: {} } },
  },
  {
    name: "our extension that opens and reads",
    bytes:
      "00000038 c8 00000003 0000001a 6f70656e2d616e642d726561644074656c6570726573656e6365 00000002 2f61 00000001 " +
      "00000000 00000004 00010000",
    want: {
      id: 3,
      request: { ask: "open-and-read", path: "/a", flags: 1, attributes: {}, readId: 4, length: 65536 },
    },
  },
  {
    name: "SYMLINK, the target first",
    bytes: "00000011 14 00000004 00000001 74 00000003 2f6c 6e",
    want: { id: 4, request: { ask: "symlink", target: "t", path: "/ln" } },
  },
  {
    name: "posix-rename@openssh.com",
    bytes: "0000002b c8 00000005 00000018 706f7369782d72656e616d65406f70656e7373682e636f6d 00000002 2f61 00000001 62",
    want: { id: 5, request: { ask: "posix-rename", from: "/a", to: "b" } },
  },
  {
    name: "fsync@openssh.com",
    bytes: "00000022 c8 00000006 00000011 6673796e63406f70656e7373682e636f6d 00000004 00000009",
    want: { id: 6, request: { ask: "fsync", handle: 9 } },
  },
  {
    name: "an extension that nobody speaks",
    bytes: "0000000c c8 00000007 00000003 612e62",
    want: { id: 7, request: { ask: "unknown", name: "a.b" } },
  },
  {
    name: "a property of each object is no extension",
    bytes: "00000014 c8 00000007 0000000b 636f6e7374727563746f72",
    want: { id: 7, request: { ask: "unknown", name: "constructor" } },
  },
  {
    name: "a name that is not UTF-8",
    bytes: "0000000b 07 00000008 00000002 2fff",
    want: { id: 8, request: { ask: "unnameable" } },
  },
  {
    name: "a name with a NUL",
    bytes: "0000000c 07 00000008 00000003 2f0061",
    want: { id: 8, request: { ask: "unnameable" } },
  },
];

/** The bytes with their length made right: what is counted by hand is the rest. */
function packetOf(text: string): Uint8Array {
  const bytes = hex(text);
  new DataView(bytes.buffer).setUint32(0, bytes.length - 4);
  return bytes;
}

function packetsOf(chunks: readonly Uint8Array[]): Packet[] {
  const reader = new PacketReader();
  // A packet is valid until the next push.
  const packets = chunks.flatMap((chunk) => reader.push(chunk).map(({ type, body }) => ({ type, body: body.slice() })));
  ok(reader.isBetweenPackets);
  return packets;
}

Deno.test("decodeSftpRequest() reads each vector", async (t) => {
  for (const { name, bytes, want } of VECTORS) {
    await t.step(name, () => {
      const [packet] = packetsOf([packetOf(bytes)]);
      ok(packet);
      equals(decodeSftpRequest(packet), want);
    });
  }
});

Deno.test("decodeSftpRequest() refuses every packet that is cut short", async (t) => {
  for (const { name, bytes } of VECTORS.filter(({ want }) => want.request.ask !== "unknown")) {
    await t.step(name, () => {
      const [packet] = packetsOf([packetOf(bytes)]);
      ok(packet);
      for (let length = 0; length < packet.body.length; length++) {
        const cut = { type: packet.type, body: packet.body.slice(0, length) };
        throws(() => decodeSftpRequest(cut), SftpError, `${length} bytes`);
      }
    });
  }
});

Deno.test("PacketReader gives the same packets wherever the bytes are cut", async (t) => {
  const all = new Uint8Array(VECTORS.flatMap(({ bytes }) => [...packetOf(bytes)]));
  const want = packetsOf([all]);
  equals(want.length, VECTORS.length);
  await t.step("byte by byte", () => equals(packetsOf([...all].map((byte) => new Uint8Array([byte]))), want));
  await t.step("in two, at each place", () => {
    for (let at = 0; at <= all.length; at++) equals(packetsOf([all.subarray(0, at), all.subarray(at)]), want);
  });
});

Deno.test("PacketReader allocates nothing for a length that no packet has", () => {
  for (const length of ["00000000", "00040001", "7fffffff", "ffffffff"]) {
    throws(() => new PacketReader().push(hex(`${length} 03`)), SftpError);
  }
  equals(new PacketReader().push(hex("00040000 03")), []);
  equals(MAX_PACKET_BYTES, 0x40000);
});

Deno.test("decodeSftpRequest() meets random bytes with its own error or a request, never with another", () => {
  const types = Object.values(SFTP);
  for (let round = 0; round < 20_000; round++) {
    const body = crypto.getRandomValues(new Uint8Array(round % 64));
    if (round % 2 === 0) body.fill(0, 4, 7); // lengths that may be right
    const type = types[round % types.length] ?? 0;
    try {
      decodeSftpRequest({ type, body });
    } catch (error) {
      ok(error instanceof SftpError, String(error));
    }
  }
});

Deno.test("FieldReader reads what PacketWriter wrote, however much that is", () => {
  const table: Attributes[] = [
    {},
    { size: 2 ** 53 - 1 },
    { ids: { user: 0xffffffff, group: 0 }, mode: 0o100644 },
    { size: 0, ids: { user: 1, group: 2 }, mode: 0, times: { accessed: 0xffffffff, modified: 1 } },
  ];
  const writer = new PacketWriter();
  for (const attributes of table) writer.begin(105).attributes(attributes).text("\ufeffé\0".repeat(1000)).end();
  const bytes = writer.take();
  equals(writer.length, 0);
  for (const [index, { type, body }] of packetsOf([bytes]).entries()) {
    const fields = new FieldReader(body);
    equals([type, fields.attributes(), fields.text(), fields.isAtEnd], [
      105,
      table[index],
      "\ufeffé\0".repeat(1000),
      true,
    ]);
  }
  throws(() => new FieldReader(hex("0020000000000000")).uint64(), SftpError, "2^53");
});
