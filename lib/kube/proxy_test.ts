import { UnexpectedEnd, UserError } from "@/util/mod.ts";
import assert from "node:assert/strict";
import { cuttings, randomBytes, scriptedDuplex } from "./_test_server.ts";
import { ProtocolError } from "./byte_reader.ts";
import { throughProxy } from "./proxy.ts";

const TARGET = { hostname: "fd00::1", port: 6443 };
const encode = (text: string) => [...new TextEncoder().encode(text)];

const ANSWERS: { name: string; proxy: string; bytes: number[]; sent: number[]; says?: RegExp }[] = [
  {
    name: "CONNECT",
    proxy: "http://user:p%40ss@proxy:3128",
    bytes: encode("HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n"),
    sent: encode(
      "CONNECT [fd00::1]:6443 HTTP/1.1\r\nHost: [fd00::1]:6443\r\nProxy-Authorization: Basic dXNlcjpwQHNz\r\n\r\n",
    ),
  },
  {
    name: "CONNECT, refused",
    proxy: "https://proxy",
    bytes: encode("HTTP/1.1 503 No\r\n\r\n"),
    sent: encode("CONNECT [fd00::1]:6443 HTTP/1.1\r\nHost: [fd00::1]:6443\r\n\r\n"),
    says: /through the proxy https:\/\/proxy: it answered with HTTP status 503$/,
  },
  {
    name: "SOCKS, an answer with a name",
    proxy: "socks5://proxy",
    bytes: [5, 0, 5, 0, 0, 3, 2, 97, 98, 0, 80],
    sent: [5, 1, 0, 5, 1, 0, 3, 7, ...encode("fd00::1"), 25, 43],
  },
  {
    name: "SOCKS, a login, an answer with IPv6",
    proxy: "socks5h://me:x@proxy",
    bytes: [5, 2, 1, 0, 5, 0, 0, 4, ...new Array(18).fill(0)],
    sent: [5, 2, 0, 2, 1, 2, ...encode("me"), 1, ...encode("x"), 5, 1, 0, 3, 7, ...encode("fd00::1"), 25, 43],
  },
  {
    name: "SOCKS, a login that is refused",
    proxy: "socks5://me:x@proxy",
    bytes: [5, 2, 1, 9],
    sent: [5, 2, 0, 2, 1, 2, ...encode("me"), 1, ...encode("x")],
    says: /did not accept user name and password$/,
  },
  {
    name: "SOCKS, a login that we do not have",
    proxy: "socks5://proxy",
    bytes: [5, 255],
    sent: [5, 1, 0],
    says: /wants another way to log in$/,
  },
  {
    name: "CONNECT, a password with a percent sign that escapes nothing",
    proxy: "http://user:50%@proxy",
    bytes: encode("HTTP/1.1 200 OK\r\n\r\n"),
    sent: encode(
      "CONNECT [fd00::1]:6443 HTTP/1.1\r\nHost: [fd00::1]:6443\r\nProxy-Authorization: Basic dXNlcjo1MCU=\r\n\r\n",
    ),
  },
  {
    name: "SOCKS, a login that is too long for it",
    proxy: `socks5://${"u".repeat(256)}:x@proxy`,
    bytes: [],
    sent: [],
    says: /takes names of 255 bytes at most$/,
  },
  {
    name: "SOCKS 4",
    proxy: "socks5://proxy",
    bytes: [0, 91],
    sent: [5, 1, 0],
    says: /does not speak SOCKS 5$/,
  },
];

Deno.test("throughProxy() speaks the same however the answer is cut:", async (t) => {
  for (const { name, proxy, bytes, sent, says } of ANSWERS) {
    await t.step(name, async () => {
      for (const cuts of cuttings(bytes.length)) {
        const conn = scriptedDuplex(new Uint8Array(bytes), cuts);
        const passing = throughProxy(conn, new URL(proxy), TARGET);
        if (says === undefined) await passing;
        else {
          await assert.rejects(passing, (error) => {
            assert.ok(error instanceof UserError);
            assert.match(error.message, says);
            return true;
          });
        }
        assert.deepEqual(conn.sent, sent);
      }
    });
  }
});

Deno.test("throughProxy() survives random bytes, and an end at each place", async () => {
  const isOurs = (error: unknown) =>
    error instanceof UserError || error instanceof ProtocolError || error instanceof UnexpectedEnd;
  const check = (bytes: Uint8Array, proxy: string) =>
    throughProxy(scriptedDuplex(bytes), new URL(proxy), TARGET).catch((error) =>
      assert.ok(isOurs(error), String(error))
    );
  for (let seed = 0; seed < 300; seed++) {
    for (const proxy of ["http://proxy", "socks5://me:x@proxy"]) {
      await check(randomBytes(40, seed), proxy);
      await check(new Uint8Array([5, seed % 3, ...randomBytes(40, seed)]), proxy);
    }
  }
  for (const { bytes, proxy } of ANSWERS) {
    for (let length = 0; length < bytes.length; length++) await check(new Uint8Array(bytes.slice(0, length)), proxy);
  }
});
