/**
 * What the tunnel itself costs, without a cluster: `make bench-tunnel`. Both ends share one
 * thread here, over pipes in memory, so the numbers are for comparing one version with another.
 *
 * @module
 */
import { type Duplex, duplexPair, readFull, writeAll } from "@/util/mod.ts";
import { decodeFrames, encodeData, HEADER_BYTES, MAX_DATA_BYTES, OFFSET_BYTES } from "./frame.ts";
import { openLink } from "./link.ts";
import { type Incoming, openMux } from "./mux.ts";
import { encodeSegment, SegmentKind, SegmentReader } from "./segment.ts";

const PAYLOAD = new Uint8Array(MAX_DATA_BYTES).map((_, index) => index * 31 >> 3);
const BODY = new Uint8Array(HEADER_BYTES + OFFSET_BYTES + MAX_DATA_BYTES);

Deno.bench("codec: a DATA of 128 KiB, encoded", () => {
  encodeData(1, 0, PAYLOAD, BODY, 0);
});

Deno.bench("codec: a DATA of 128 KiB, decoded", () => {
  for (const { payload } of decodeFrames(BODY)) payload.at(-1);
});

const SEGMENT = encodeSegment({ kind: SegmentKind.BULK, place: 0, acknowledged: 0, number: 0 }, BODY);

for (const pieces of [1, 5, 100]) {
  Deno.bench(`codec: a segment of 128 KiB that comes in ${pieces} pieces`, () => {
    const reader = new SegmentReader();
    const size = Math.ceil(SEGMENT.length / pieces);
    for (let at = 0; at < SEGMENT.length; at += size) {
      for (const { body } of reader.push(SEGMENT.subarray(at, at + size))) body.at(-1);
    }
  });
}

const PEER = openLink();
const OURS = openLink();
for (let index = 0; index < 2; index++) {
  const [a, b] = duplexPair({ capacityBytes: 1 << 20 });
  OURS.attach(index, a);
  PEER.attach(index, b);
}
openMux(PEER, { role: "agent", onOpen: (incoming) => void echo(incoming).catch(() => {}) });
const HOST = openMux(OURS, { role: "host", onOpen: (incoming) => incoming.refuse({ code: "EPERM", message: "" }) });
const STREAM = await HOST.open(new Uint8Array());
const SMALL = new Uint8Array(64);
const LARGE = new Uint8Array(8 << 20);

Deno.bench("mux over a link of two carriers: 64 bytes there and back", async () => {
  await roundTrip(STREAM, SMALL);
});

Deno.bench("mux over a link of two carriers: 8 MiB there and back", async () => {
  await roundTrip(STREAM, LARGE);
});

Deno.bench("mux over a link of two carriers: a stream opened, used and closed", async () => {
  const stream = await HOST.open(new Uint8Array());
  await roundTrip(stream, SMALL);
  await stream.closeWrite();
  await stream.read(SMALL);
});

async function roundTrip(stream: Duplex, bytes: Uint8Array): Promise<void> {
  const answer = new Uint8Array(bytes.length);
  await Promise.all([writeAll(stream, bytes), readFull(stream, answer)]);
}

async function echo(incoming: Incoming): Promise<void> {
  const stream = incoming.accept();
  const buffer = new Uint8Array(256 * 1024);
  for (let count; (count = await stream.read(buffer)) !== null;) await writeAll(stream, buffer.subarray(0, count));
  await stream.closeWrite();
}
