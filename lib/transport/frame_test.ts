import { deepStrictEqual as equals, throws } from "node:assert/strict";
import {
  decodeCredit,
  decodeReset,
  encodeCredit,
  encodeFrame,
  encodeReset,
  type Frame,
  FrameReader,
  FrameType,
  HEADER_BYTES,
  MAX_PAYLOAD_BYTES,
  ProtocolError,
} from "./frame.ts";

const bytes = (...values: number[]) => new Uint8Array(values);
const text = (value: string) => new TextEncoder().encode(value);

/** The vectors of the specification: a frame, and its bytes written by hand. */
const VECTORS: { name: string; frame: Frame; wire: Uint8Array }[] = [
  {
    name: "DATA",
    frame: { type: FrameType.DATA, stream: 1, payload: text("hi") },
    wire: bytes(0, 0, 0, 2, 0, 0, 0, 1, 0x68, 0x69),
  },
  {
    name: "CREDIT on a large stream number",
    frame: { type: FrameType.CREDIT, stream: 0xfffffffe, payload: encodeCredit(0x80000) },
    wire: bytes(1, 0, 0, 4, 0xff, 0xff, 0xff, 0xfe, 0, 8, 0, 0),
  },
  {
    name: "FIN",
    frame: { type: FrameType.FIN, stream: 258, payload: bytes() },
    wire: bytes(4, 0, 0, 0, 0, 0, 1, 2),
  },
  {
    name: "RESET",
    frame: { type: FrameType.RESET, stream: 3, payload: encodeReset({ code: "EPERM", message: "no" }) },
    wire: bytes(5, 0, 0, 8, 0, 0, 0, 3, 5, 0x45, 0x50, 0x45, 0x52, 0x4d, 0x6e, 0x6f),
  },
];

function encode(frame: Frame): Uint8Array {
  const wire = new Uint8Array(HEADER_BYTES + frame.payload.length);
  equals(encodeFrame(frame, wire), wire.length);
  return wire;
}

function decode(...pieces: Uint8Array[]): Frame[] {
  const reader = new FrameReader();
  const frames: Frame[] = [];
  for (const piece of pieces) {
    for (const frame of reader.push(piece)) frames.push({ ...frame, payload: frame.payload.slice() });
  }
  return frames;
}

Deno.test("encodeFrame() and FrameReader agree with the vectors of the specification", async (t) => {
  for (const { name, frame, wire } of VECTORS) {
    await t.step(name, () => {
      equals(encode(frame), wire);
      equals(decode(wire), [frame]);
    });
  }
});

Deno.test("FrameReader gives the same frames wherever the bytes are cut", () => {
  const frames = VECTORS.map(({ frame }) => frame);
  const wire = new Uint8Array(VECTORS.flatMap(({ wire }) => [...wire]));
  for (let cut = 0; cut <= wire.length; cut++) {
    for (let next = cut; next <= wire.length; next++) {
      equals(decode(wire.slice(0, cut), wire.slice(cut, next), wire.slice(next)), frames, `cut at ${cut} and ${next}`);
    }
  }
  equals(decode(...[...wire].map((byte) => bytes(byte))), frames, "byte by byte");
});

Deno.test("FrameReader takes the longest payload in any pieces", () => {
  const payload = crypto.getRandomValues(new Uint8Array(MAX_PAYLOAD_BYTES));
  const wire = encode({ type: FrameType.DATA, stream: 7, payload });
  for (const size of [1000, HEADER_BYTES, wire.length - 1, wire.length]) {
    const pieces = [];
    for (let at = 0; at < wire.length; at += size) pieces.push(wire.slice(at, at + size));
    equals(decode(...pieces), [{ type: FrameType.DATA, stream: 7, payload }]);
  }
});

Deno.test("FrameReader refuses what the specification does not have", async (t) => {
  const cases = [
    { name: "unknown type", wire: bytes(9, 0, 0, 0, 0, 0, 0, 0) },
    { name: "payload too long", wire: bytes(0, 1, 0, 1, 0, 0, 0, 1) },
    { name: "short CREDIT", wire: bytes(1, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0) },
    { name: "FIN with a payload", wire: bytes(4, 0, 0, 1, 0, 0, 0, 1, 0) },
    { name: "RESET without a code", wire: bytes(5, 0, 0, 0, 0, 0, 0, 1) },
    { name: "long PING", wire: bytes(6, 0, 0, 9, 0, 0, 0, 0) },
  ];
  for (const { name, wire } of cases) {
    await t.step(name, () => {
      throws(() => decode(wire), ProtocolError);
      throws(() => decode(...[...wire].map((byte) => bytes(byte))), ProtocolError);
    });
  }
});

Deno.test("FrameReader bears random bytes: frames or a ProtocolError, nothing else", () => {
  for (let round = 0; round < 2000; round++) {
    const noise = crypto.getRandomValues(new Uint8Array(round % 97));
    if (round % 2 === 0 && noise.length > 3) noise.set([noise[0] ?? 0 % 9, 0, 0], 0); // often a plausible header
    try {
      for (const frame of decode(noise)) {
        if (frame.type === FrameType.RESET) decodeReset(frame.payload);
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
    }
  }
});

Deno.test("decodeReset() gives back what encodeReset() was given, and refuses a code longer than the frame", () => {
  const reset = { code: "ECONNREFUSED", message: "Connection refused: ünïcode" };
  equals(decodeReset(encodeReset(reset)), reset);
  equals(encodeReset({ code: "E", message: "x".repeat(100_000) }).length, MAX_PAYLOAD_BYTES);
  throws(() => decodeReset(bytes(9, 65)), ProtocolError);
});

Deno.test("decodeCredit() gives back what encodeCredit() was given", () => {
  for (const value of [0, 1, 65535, 65536, 0xffffffff]) equals(decodeCredit(encodeCredit(value)), value);
});
