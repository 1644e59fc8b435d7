import { UserError } from "@/util/mod.ts";
import assert from "node:assert/strict";
import { cuttings, randomBytes, readAll, scriptedDuplex } from "./_test_server.ts";
import { ByteReader, ProtocolError } from "./byte_reader.ts";
import { openBody, readHead, sendRequest } from "./http.ts";

/** Reads one answer of `text` and says what is in it. */
async function readAnswer(bytes: Uint8Array, cuts: readonly number[] = [], method = "GET") {
  const reader = new ByteReader(scriptedDuplex(bytes, cuts), 256);
  const head = await readHead(reader);
  if (head === null) return null;
  const response = openBody(reader, head, method);
  const body = new TextDecoder().decode(await readAll(response));
  return { status: head.status, body, reusable: response.reusable, rest: reader.buffered.length };
}

const ANSWERS: { name: string; text: string; method?: string; want: unknown }[] = [
  {
    name: "a length",
    text: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    want: { status: 200, body: "hello", reusable: true, rest: 0 },
  },
  {
    name: "chunks, an extension, a trailer",
    text:
      "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\nA\r\n, my world\r\n0\r\nA: b\r\n\r\n",
    want: { status: 201, body: "hello, my world", reusable: true, rest: 0 },
  },
  {
    name: "no length: up to the end",
    text: "HTTP/1.0 200 OK\r\n\r\nall of it",
    want: { status: 200, body: "all of it", reusable: false, rest: 0 },
  },
  {
    name: "an interim answer first",
    text: "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    want: { status: 200, body: "ok", reusable: true, rest: 0 },
  },
  {
    name: "Connection: close",
    text: "HTTP/1.1 200\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
    want: { status: 200, body: "ok", reusable: false, rest: 0 },
  },
  {
    name: "no body with 204",
    text: "HTTP/1.1 204 No Content\r\n\r\n",
    want: { status: 204, body: "", reusable: true, rest: 0 },
  },
  {
    name: "no body after HEAD",
    method: "HEAD",
    text: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
    want: { status: 200, body: "", reusable: true, rest: 0 },
  },
];

Deno.test("readHead() and openBody() read an answer the same however it is cut", async (t) => {
  for (const { name, text, method = "GET", want } of ANSWERS) {
    await t.step(name, async () => {
      const bytes = new TextEncoder().encode(text);
      for (const cuts of cuttings(bytes.length)) assert.deepEqual(await readAnswer(bytes, cuts, method), want);
    });
  }
});

const BROKEN: { name: string; text: string; says: RegExp }[] = [
  { name: "TLS where HTTP was expected", text: "\x15\x03\x01\x00\x02\x02\x46\n\n", says: /does not speak HTTP/ },
  { name: "an end in the head", text: "HTTP/1.1 200 OK\r\nContent-", says: /in the middle/ },
  {
    name: "an end in the body",
    text: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
    says: /2 bytes before the end/,
  },
  {
    name: "an end between chunks",
    text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
    says: /middle/,
  },
  {
    name: "a chunk size of a page",
    text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    says: /chunk size/,
  },
  { name: "a negative length", text: "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", says: /Content-Length of "-5"/ },
  { name: "a header without a name", text: "HTTP/1.1 200 OK\r\n: x\r\n\r\n", says: /malformed HTTP header/ },
  { name: "a line that does not end", text: "HTTP/1.1 200 " + "x".repeat(400), says: /too long/ },
];

Deno.test("readHead() and openBody() refuse what is no HTTP answer", async (t) => {
  for (const { name, text, says } of BROKEN) {
    await t.step(name, async () => {
      await assert.rejects(readAnswer(new TextEncoder().encode(text)), (error) => {
        assert.ok(error instanceof ProtocolError);
        assert.match(error.message, says);
        return true;
      });
    });
  }
});

Deno.test("readHead() gives null when the peer had closed the connection", async () => {
  assert.equal(await readAnswer(new Uint8Array()), null);
});

Deno.test("readHead() and openBody() survive random bytes", async () => {
  const start = new TextEncoder().encode("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (let seed = 0; seed < 500; seed++) {
    const random = randomBytes(80, seed);
    for (const bytes of [random, new Uint8Array([...start, ...random])]) {
      await readAnswer(bytes).catch((error) => assert.ok(error instanceof ProtocolError, String(error)));
    }
  }
});

Deno.test("sendRequest() writes head and body at once, and no header of somebody else's", async () => {
  const duplex = scriptedDuplex(new Uint8Array());
  const body = new TextEncoder().encode("{}");
  await sendRequest(duplex, { method: "POST", target: "/x?y=z", headers: [["Host", "a:1"], ["X", "1"]], body });
  const text = new TextDecoder().decode(new Uint8Array(duplex.sent));
  assert.equal(text, "POST /x?y=z HTTP/1.1\r\nHost: a:1\r\nX: 1\r\nContent-Length: 2\r\n\r\n{}");
  await assert.rejects(
    () => sendRequest(duplex, { method: "GET", target: "/", headers: [["X", "a\r\nEvil: 1"]] }),
    UserError,
  );
});
