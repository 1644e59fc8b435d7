import { deepStrictEqual as equals, throws } from "node:assert/strict";
import { ProtocolError } from "./frame.ts";
import { encodeSegment, MAX_BODY_BYTES, type Segment, SegmentKind, SegmentReader } from "./segment.ts";

const bytes = (...values: number[]) => new Uint8Array(values);

/** The vectors of the specification: a segment, and its bytes written by hand. */
const VECTORS: { name: string; segment: Segment; wire: Uint8Array }[] = [
  {
    name: "EXPRESS",
    segment: { kind: SegmentKind.EXPRESS, place: 1, acknowledged: 2, number: 3, body: bytes(7, 8) },
    wire: bytes(0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 7, 8),
  },
  {
    name: "BULK with large counts",
    segment: {
      kind: SegmentKind.BULK,
      place: 0xfffffffe,
      acknowledged: 0x80000000,
      number: 2 ** 40 + 5,
      body: bytes(9),
    },
    wire: bytes(1, 0, 0, 1, 255, 255, 255, 254, 128, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 5, 9),
  },
  {
    name: "ACK",
    segment: { kind: SegmentKind.ACK, place: 0, acknowledged: 258, number: 0, body: bytes() },
    wire: bytes(2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0),
  },
  {
    name: "PING",
    segment: { kind: SegmentKind.PING, place: 0, acknowledged: 0, number: 6, body: bytes() },
    wire: bytes(3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6),
  },
  {
    name: "BYE",
    segment: { kind: SegmentKind.BYE, place: 0, acknowledged: 0, number: 0, body: bytes(0x6f, 0x6b) },
    wire: bytes(5, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x6f, 0x6b),
  },
];

function decode(...pieces: Uint8Array[]): Segment[] {
  const reader = new SegmentReader();
  const segments: Segment[] = [];
  for (const piece of pieces) {
    for (const segment of reader.push(piece)) segments.push({ ...segment, body: segment.body.slice() });
  }
  return segments;
}

Deno.test("encodeSegment() and SegmentReader agree with the vectors of the specification", async (t) => {
  for (const { name, segment, wire } of VECTORS) {
    await t.step(name, () => {
      equals(encodeSegment(segment, segment.body), wire);
      equals(decode(wire), [segment]);
    });
  }
});

Deno.test("SegmentReader gives the same segments wherever the bytes are cut", () => {
  const segments = VECTORS.map(({ segment }) => segment);
  const wire = new Uint8Array(VECTORS.flatMap(({ wire }) => [...wire]));
  for (let cut = 0; cut <= wire.length; cut++) {
    for (let next = cut; next <= wire.length; next++) {
      const got = decode(wire.slice(0, cut), wire.slice(cut, next), wire.slice(next));
      equals(got, segments, `cut at ${cut} and ${next}`);
    }
  }
  equals(decode(...[...wire].map((byte) => bytes(byte))), segments, "byte by byte");
});

Deno.test("SegmentReader takes the longest body in any pieces", () => {
  const body = new Uint8Array(MAX_BODY_BYTES).map((_, index) => index * 31 >> 3);
  const segment = { kind: SegmentKind.BULK, place: 0, acknowledged: 0, number: 0, body };
  const wire = encodeSegment(segment, body);
  for (const size of [1000, 20, 4095, 4096, 4097, wire.length - 1, wire.length]) {
    const pieces = [];
    for (let at = 0; at < wire.length; at += size) pieces.push(wire.slice(at, at + size));
    equals(decode(...pieces), [{ ...segment, body: body.slice() }]);
  }
});

Deno.test("SegmentReader refuses what the specification does not have", async (t) => {
  const header = (...values: number[]) => {
    const wire = new Uint8Array(20);
    wire.set(values);
    return wire;
  };
  const cases = [
    { name: "an unknown kind", wire: header(6) },
    { name: "a body too long", wire: header(0, 2, 0, 0) },
    { name: "an ACK with a body", wire: header(2, 0, 0, 1) },
    { name: "a PING with a body", wire: header(3, 0, 0, 1) },
    { name: "a number that no link reaches", wire: header(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255) },
  ];
  for (const { name, wire } of cases) {
    await t.step(name, () => {
      throws(() => decode(wire), ProtocolError);
      throws(() => decode(...[...wire].map((byte) => bytes(byte))), ProtocolError);
    });
  }
});
