import { deepStrictEqual as equals, throws } from "node:assert/strict";
import { decodeMessage, DnsFormatError, encodeName, encodeQuery } from "./message.ts";

const bytes = (...values: (number | string)[]) =>
  new Uint8Array(values.flatMap((value) => typeof value === "number" ? [value] : [...new TextEncoder().encode(value)]));

/** The name a.test at offset 12, then a record of it that points back. */
const QUESTION = [1, "a", 4, "test", 0, 0, 1, 0, 1] as const;
const header = (answers: number, authority = 0, flags = [0x81, 0x80]) =>
  [0, 7, ...flags, 0, 1, 0, answers, 0, authority, 0, 0] as const;

Deno.test("encodeQuery() asks one question, with EDNS or without", () => {
  equals(
    encodeQuery(7, "a.test", 33),
    bytes(0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1, "a", 4, "test", 0, 0, 33, 0, 1, 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0),
  );
  equals(encodeQuery(7, "a.test.", 1, false), bytes(0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...QUESTION));
});

Deno.test("encodeName() refuses what is no name", () => {
  for (const name of ["a..b", ".a", "x".repeat(64), "x.".repeat(128)]) {
    throws(() => encodeName(name), DnsFormatError, name);
  }
  equals(encodeName("."), bytes(0));
});

Deno.test("decodeMessage() reads records and writes their names out", () => {
  const message = bytes(
    ...header(3, 1),
    ...QUESTION,
    ...[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 4, 1, "b", 0xc0, 14], // a.test CNAME b.test
    ...[0xc0, 36, 0, 1, 0, 1, 0, 1, 0, 0, 0, 4, 10, 0, 0, 9], // b.test A
    ...[0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 5, 0, 8, 0, 1, 0, 2, 0, 80, 0xc0, 36], // a.test SRV 1 2 80 b.test
    ...[0xc0, 14, 0, 6, 0, 1, 0, 0, 0, 5, 0, 24, 0xc0, 14, 0xc0, 36, ...Array<number>(20).fill(9)], // test SOA
  );
  const b = bytes(1, "b", 4, "test", 0);
  const { answers, authority, ...rest } = decodeMessage(message);
  equals(rest, { id: 7, rcode: 0, truncated: false });
  equals(answers, [
    { name: "a.test", type: 5, ttl: 60, data: b },
    { name: "b.test", type: 1, ttl: 65536, data: bytes(10, 0, 0, 9) },
    { name: "a.test", type: 33, ttl: 5, data: bytes(0, 1, 0, 2, 0, 80, ...b) },
  ]);
  equals(authority[0]?.data, bytes(4, "test", 0, ...b, ...Array<number>(20).fill(9)));
  for (let cut = 0; cut < message.length; cut++) {
    throws(() => decodeMessage(message.slice(0, cut)), DnsFormatError, `cut at ${cut}`);
  }
});

Deno.test("decodeMessage() refuses names that loop, queries, and bears random bytes", () => {
  throws(() => decodeMessage(bytes(...header(1), ...QUESTION, 0xc0, 27, 0, 1)), DnsFormatError);
  throws(() => decodeMessage(bytes(...header(1), ...QUESTION, 1, "x", 0xc0, 27, 0, 1)), DnsFormatError);
  throws(() => decodeMessage(bytes(...header(0, 0, [1, 0]), ...QUESTION)), DnsFormatError);
  for (let round = 0; round < 2000; round++) {
    const noise = crypto.getRandomValues(new Uint8Array(round % 200));
    noise[2] = 0x80;
    try {
      decodeMessage(noise);
    } catch (error) {
      if (!(error instanceof DnsFormatError)) throw error;
    }
  }
});
