import { deepStrictEqual as equals, ok, throws } from "node:assert/strict";
import { DnsFormatError } from "./format_error.ts";
import { decodeMessage, type DnsMessage, encodeMessage, queryFor, RCODES } from "./message.ts";
import { decodeName } from "./name.ts";
import { type RecordData, TYPES } from "./record.ts";

const EMPTY: DnsMessage = {
  id: 0x1234,
  isResponse: true,
  opcode: 0,
  isAuthoritative: false,
  isTruncated: false,
  recursionDesired: true,
  recursionAvailable: true,
  rcode: RCODES.NOERROR,
  questions: [{ name: "helloworld.default", type: TYPES.A, class: 1 }],
  answers: [],
  authorities: [],
  additionals: [],
};

const bytesOf = (hex: string) => Uint8Array.fromHex(hex.replaceAll(/\s/g, ""));

Deno.test("queryFor() asks one question, with EDNS or without", () => {
  equals(
    encodeMessage(queryFor(7, "a.test", TYPES.SRV)),
    bytesOf("0007 0100 0001 0000 0000 0001 0161 0474657374 00 0021 0001 00 0029 04d0 0000 0000 0000"),
  );
  equals(
    encodeMessage(queryFor(7, "a.test.", TYPES.A, { edns: false })),
    bytesOf("0007 0100 0001 0000 0000 0000 0161 0474657374 00 0001 0001"),
  );
});

Deno.test("decodeMessage() reads what others wrote", async (t) => {
  await t.step("a query of glibc", () => {
    const message = decodeMessage(bytesOf("abcd 0100 0001 0000 0000 0000 0a68656c6c6f776f726c64 00 0001 0001"));
    equals(message.questions, [{ name: "helloworld", type: 1, class: 1 }]);
    equals([message.id, message.isResponse, message.recursionDesired, message.edns], [0xabcd, false, true, undefined]);
  });
  await t.step("an answer with a pointer (RFC 1035, section 4.1.4) and EDNS", () => {
    const message = decodeMessage(
      bytesOf(
        `abcd 8180 0001 0001 0000 0001 03777777 076578616d706c65 00 0001 0001
         c00c 0001 0001 0000001e 0004 0a600707   00 0029 04d0 0000 8000 0000`,
      ),
    );
    equals(message.answers, [{ name: "www.example", ttl: 30, data: { type: "A", address: "10.96.7.7" } }]);
    equals(message.edns, { udpBytes: 1232, version: 0, dnssecOk: true });
  });
  await t.step("names that point back inside of a record's data", () => {
    const { answers, authorities } = decodeMessage(
      bytesOf(
        `0007 8180 0001 0002 0001 0000 0161 0474657374 00 0001 0001
         c00c 0005 0001 0000003c 0004 0162 c00e
         c00c 0021 0001 00000005 0008 0001 0002 0050 c024
         c00e 0006 0001 00000005 0018 c00e c024 00000001 00000002 00000003 00000004 00000005`,
      ),
    );
    equals(answers, [
      { name: "a.test", ttl: 60, data: { type: "CNAME", target: "b.test" } },
      { name: "a.test", ttl: 5, data: { type: "SRV", priority: 1, weight: 2, port: 80, target: "b.test" } },
    ]);
    equals(authorities, [
      { name: "test", ttl: 5, data: { type: "SOA", primary: "test", mailbox: "b.test", numbers: [1, 2, 3, 4, 5] } },
    ]);
  });
  await t.step("a message with bytes behind its records", () => {
    const bytes = bytesOf("0007 8180 0001 0000 0000 0000 0161 00 0001 0001 ffff");
    equals(decodeMessage(bytes).questions, [{ name: "a", type: 1, class: 1 }]);
  });
});

const RECORDS: readonly RecordData[] = [
  { type: "A", address: "10.96.7.7" },
  { type: "AAAA", address: "fd00:96::7" },
  { type: "CNAME", target: "other.default" },
  { type: "NS", target: "ns.default" },
  { type: "PTR", target: "helloworld.default" },
  { type: "DNAME", target: "other.default" },
  { type: "MX", preference: 10, exchange: "mail.default" },
  { type: "SRV", priority: 0, weight: 100, port: 80, target: "helloworld.default" },
  { type: "TXT", texts: [new Uint8Array([0x61, 0x00, 0xff]), new Uint8Array()] },
  { type: "SOA", primary: "ns.default", mailbox: "root.default", numbers: [2026, 7200, 1800, 86400, 5] },
  { type: "HTTPS", priority: 1, target: "", params: bytesOf("0001 0003 026832") },
  { type: "unknown", number: 99, bytes: new Uint8Array([1, 2, 3]) },
];

Deno.test("each type of record comes out of a message as it went in, and compression is undone", () => {
  const message: DnsMessage = {
    ...EMPTY,
    rcode: 23,
    answers: RECORDS.map((data) => ({ name: "helloworld.default", ttl: 30, data })),
    authorities: [{ name: "", ttl: 0, data: { type: "NS", target: "a\\.b.\\000\\255.c" } }],
    edns: { udpBytes: 4096, version: 0, dnssecOk: false },
  };
  const bytes = encodeMessage(message);
  equals(decodeMessage(bytes), message);
  const plain = RECORDS.length * "helloworld.default".length;
  ok(bytes.length < 12 + plain + 400, "names that are there already are pointed to");
});

Deno.test("encodeMessage() leaves out what does not fit, and says so", () => {
  const answers = Array.from({ length: 100 }, (_, index) => {
    return { name: "many.default", ttl: 5, data: { type: "A" as const, address: `10.0.0.${index}` } };
  });
  const edns = { udpBytes: 1232, version: 0, dnssecOk: false };
  for (const most of [512, 1232]) {
    const bytes = encodeMessage({ ...EMPTY, answers, edns }, most);
    ok(bytes.length <= most && bytes.length > most - 40);
    const message = decodeMessage(bytes);
    ok(message.isTruncated);
    equals(message.answers, answers.slice(0, message.answers.length));
    equals(message.edns, edns);
  }
  equals(decodeMessage(encodeMessage({ ...EMPTY, answers })).isTruncated, false);
});

Deno.test("decodeMessage() ends for every message that is cut, and for bytes of chance", () => {
  const whole = encodeMessage({
    ...EMPTY,
    answers: RECORDS.map((data) => ({ name: "helloworld.default", ttl: 30, data })),
    edns: { udpBytes: 4096, version: 0, dnssecOk: false },
  });
  for (let length = 0; length < whole.length; length++) {
    throws(() => decodeMessage(whole.subarray(0, length)), DnsFormatError, `cut at ${length}`);
  }
  for (let round = 0; round < 5000; round++) {
    const bytes = crypto.getRandomValues(new Uint8Array(round % 100));
    const changed = whole.slice();
    const [at = 0, to = 0] = crypto.getRandomValues(new Uint16Array(2));
    changed[at % changed.length] = to & 0xff;
    for (const each of [bytes, changed]) {
      try {
        decodeMessage(each);
      } catch (error) {
        ok(error instanceof DnsFormatError, String(error));
      }
    }
  }
});

Deno.test("decodeName() ends for names that point to themselves, to each other, or make a too long one", async (t) => {
  const cases = {
    "to itself": "c000",
    "to each other": "c002 c000",
    "forwards": "c004 0161 00",
    "through a label, for ever": "0161 c000",
    "cut off in a label": "0561",
    "of unknown kind": "4000",
  };
  for (const [name, hex] of Object.entries(cases)) {
    await t.step(name, () => void throws(() => decodeName(bytesOf(hex), 0), DnsFormatError));
  }
  await t.step("256 bytes", () => {
    throws(() => decodeName(bytesOf(`${"3f".padEnd(128, "61").repeat(4)}00`), 0), DnsFormatError);
  });
});

Deno.test("decodeName() follows no long chain of pointers: each record of a message could point to its end", () => {
  const chainOf = (pointers: number) => {
    const bytes = new Uint8Array(1 + 2 * pointers); // the root, and pointers each of which points to the one before
    for (let at = 1, before = 0; at < bytes.length; before = at, at += 2) {
      bytes.set([0xc0 | before >> 8, before & 0xff], at);
    }
    return bytes;
  };
  equals(decodeName(chainOf(127), 2 * 127 - 1).name, "");
  throws(() => decodeName(chainOf(128), 2 * 128 - 1), DnsFormatError);
});

Deno.test("encodeMessage() refuses names and values that have no place in a message", async (t) => {
  const name = (text: string): DnsMessage => ({ ...EMPTY, questions: [{ name: text, type: 1, class: 1 }] });
  for (const text of ["a..b", ".a", `${"a".repeat(64)}.b`, Array(65).fill("abc").join(".")]) {
    await t.step(JSON.stringify(text), () => void throws(() => encodeMessage(name(text)), DnsFormatError));
  }
  const record = (data: RecordData): DnsMessage => ({ ...EMPTY, answers: [{ name: "a", ttl: 0, data }] });
  await t.step("an address of the other family", () => {
    throws(() => encodeMessage(record({ type: "A", address: "::1" })), DnsFormatError);
    throws(() => encodeMessage(record({ type: "AAAA", address: "nothing" })), DnsFormatError);
  });
  await t.step("a text of 256 bytes", () => {
    throws(() => encodeMessage(record({ type: "TXT", texts: [new Uint8Array(256)] })), DnsFormatError);
  });
});
