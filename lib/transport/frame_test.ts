import { deepStrictEqual as equals, throws } from "node:assert/strict";
import { SPLICE_BYTES } from "@/util/mod.ts";
import {
  decodeCredit,
  decodeFrames,
  decodeOffset,
  decodeReset,
  encodeCredit,
  encodeData,
  encodeFrame,
  encodeOffset,
  encodeOpening,
  encodeReset,
  type Frame,
  FrameType,
  HEADER_BYTES,
  MAX_DATA_BYTES,
  MAX_PAYLOAD_BYTES,
  ProtocolError,
} from "./frame.ts";

const bytes = (...values: number[]) => new Uint8Array(values);
const text = (value: string) => new TextEncoder().encode(value);

/** The vectors of the specification: a frame, and its bytes written by hand. */
const VECTORS: { name: string; frame: Frame; wire: Uint8Array }[] = [
  {
    name: "DATA",
    frame: { type: FrameType.DATA, stream: 1, payload: bytes(0, 0, 0, 1, 0, 0, 0, 2, ...text("hi")) },
    wire: bytes(0, 0, 0, 10, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0x68, 0x69),
  },
  {
    name: "CREDIT on a large stream number",
    frame: { type: FrameType.CREDIT, stream: 0xfffffffe, payload: encodeCredit(0x80000) },
    wire: bytes(1, 0, 0, 4, 0xff, 0xff, 0xff, 0xfe, 0, 8, 0, 0),
  },
  {
    name: "FIN",
    frame: { type: FrameType.FIN, stream: 258, payload: encodeOffset(513, new Uint8Array(8)) },
    wire: bytes(4, 0, 0, 8, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 2, 1),
  },
  {
    name: "OPEN",
    frame: { type: FrameType.OPEN, stream: 5, payload: encodeOpening(0x40000, text("x")) },
    wire: bytes(2, 0, 0, 5, 0, 0, 0, 5, 0, 4, 0, 0, 0x78),
  },
  {
    name: "ACCEPT",
    frame: { type: FrameType.ACCEPT, stream: 5, payload: encodeOpening(1, bytes()) },
    wire: bytes(3, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 1),
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

function decode(wire: Uint8Array): Frame[] {
  return [...decodeFrames(wire)];
}

Deno.test("encodeFrame() and decodeFrames() agree with the vectors of the specification", async (t) => {
  for (const { name, frame, wire } of VECTORS) {
    await t.step(name, () => {
      equals(encode(frame), wire);
      equals(decode(wire), [frame]);
    });
  }
});

Deno.test("decodeFrames() gives all frames of a body, and refuses one that is cut anywhere else", () => {
  const wire = new Uint8Array(VECTORS.flatMap(({ wire }) => [...wire]));
  equals(decode(wire), VECTORS.map(({ frame }) => frame));
  const ends = new Set([0]);
  VECTORS.reduce((at, { wire }) => (ends.add(at + wire.length), at + wire.length), 0);
  for (let cut = 0; cut < wire.length; cut++) {
    if (ends.has(cut)) decode(wire.slice(0, cut));
    else throws(() => decode(wire.slice(0, cut)), ProtocolError, `cut at ${cut}`);
  }
});

Deno.test("encodeData() writes the frame that encodeFrame() would, the longest too", () => {
  for (const length of [0, 1, MAX_DATA_BYTES]) {
    const payload = new Uint8Array(length).map((_, index) => index * 31 >> 3);
    const wire = new Uint8Array(HEADER_BYTES + 8 + length);
    equals(encodeData(9, 2 ** 40 + 3, payload, wire, 0), wire.length);
    const [frame] = decode(wire);
    equals(frame?.stream, 9);
    equals(decodeOffset(frame?.payload ?? bytes()), 2 ** 40 + 3);
    equals(frame?.payload.slice(8), payload);
  }
});

Deno.test("decodeFrames() refuses what the specification does not have", async (t) => {
  const cases = [
    { name: "unknown type", wire: bytes(6, 0, 0, 0, 0, 0, 0, 0) },
    { name: "payload too long", wire: bytes(0, 1, 0, 1, 0, 0, 0, 1) },
    { name: "DATA without a position", wire: bytes(0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0) },
    { name: "short CREDIT", wire: bytes(1, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0) },
    { name: "OPEN without a credit", wire: bytes(2, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0) },
    { name: "FIN without a position", wire: bytes(4, 0, 0, 1, 0, 0, 0, 1, 0) },
    { name: "RESET without a code", wire: bytes(5, 0, 0, 0, 0, 0, 0, 1) },
  ];
  for (const { name, wire } of cases) await t.step(name, () => throws(() => decode(wire), ProtocolError));
  throws(() => decodeOffset(new Uint8Array(8).fill(255)), ProtocolError);
});

Deno.test("decodeFrames() bears random bytes: frames or a ProtocolError, nothing else", () => {
  for (let round = 0; round < 2000; round++) {
    const noise = crypto.getRandomValues(new Uint8Array(round % 97));
    if (round % 2 === 0 && noise.length > 3) noise.set([(noise[0] ?? 0) % 6, 0, 0], 0); // often a plausible header
    try {
      for (const frame of decode(noise)) {
        if (frame.type === FrameType.RESET) decodeReset(frame.payload);
        if (frame.type === FrameType.DATA) decodeOffset(frame.payload);
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
    }
  }
});

Deno.test("decodeReset() gives back what encodeReset() was given, and refuses a code longer than the frame", () => {
  const reset = { code: "ECONNREFUSED", message: "Connection refused: ünïcode" };
  equals(decodeReset(encodeReset(reset)), reset);
  equals(encodeReset({ code: "E", message: "x".repeat(200_000) }).length, MAX_PAYLOAD_BYTES);
  throws(() => decodeReset(bytes(9, 65)), ProtocolError);
});

Deno.test("decodeCredit() gives back what encodeCredit() was given, and refuses more than any window", () => {
  for (const value of [0, 1, 65535, 65536, 0x4000000]) equals(decodeCredit(encodeCredit(value)), value);
  for (const value of [0x4000001, 0xffffffff]) throws(() => decodeCredit(encodeCredit(value)), ProtocolError);
});

Deno.test("what a splice reads at a time fills DATA frames to the last byte", () => {
  equals(SPLICE_BYTES % MAX_DATA_BYTES, 0, "each rest would be a message of its own, all the way");
});
