import { deepStrictEqual as equals, ok, rejects, strictEqual as equal, throws } from "node:assert/strict";
import { readLines } from "./lines.ts";
import { canonicalAddress, formatAnswer, parseRequest, ProtocolError } from "./protocol.ts";

Deno.test("parseRequest() reads each request", () => {
  equals(parseRequest("shim/2 connect 10.96.7.7 80 7"), {
    verb: "connect",
    to: { address: "10.96.7.7", port: 80 },
    pid: 7,
  });
  equals(parseRequest("shim/2 connect ::ffff:10.96.7.7 80 2147483647"), {
    verb: "connect",
    to: { address: "10.96.7.7", port: 80 },
    pid: 2147483647,
  });
  equals(parseRequest("shim/2 connect 2001:DB8:0:0::1 0 7"), {
    verb: "connect",
    to: { address: "2001:db8::1", port: 0 },
    pid: 7,
  });
  equals(parseRequest("shim/2 begin 10.96.7.7 80 7"), {
    verb: "begin",
    to: { address: "10.96.7.7", port: 80 },
    pid: 7,
  });
  equals(parseRequest("shim/2 claim ::1 65535 196608"), {
    verb: "claim",
    from: { address: "::1", port: 65535 },
    plug: 196608,
  });
  equals(parseRequest("shim/2 about ::1 1"), { verb: "about", from: { address: "::1", port: 1 } });
  equals(parseRequest("shim/2 hello"), { verb: "hello" });
  equals(parseRequest("shim/2 lookup any a.b 7"), { verb: "lookup", family: "any", name: "a.b", pid: 7 });
  const relay = { verb: "relay", to: { address: "10.96.0.10", port: 53 }, family: 4 };
  equals(parseRequest("shim/2 relay 10.96.0.10 53 4"), relay);
  equals(parseRequest("shim/2 whose 40001 6"), { verb: "whose", port: 40001, family: 6 });
  throws(() => parseRequest("shim/2 whose 40001 any"), ProtocolError);
  equals(parseRequest("shim/2 dns"), { verb: "dns" });
  equals(parseRequest("shim/2 lookup 6 a 7"), { verb: "lookup", family: 6, name: "a", pid: 7 });
  equals(parseRequest("shim/2 reverse 10.96.7.7 7"), { verb: "reverse", address: "10.96.7.7", pid: 7 });
  throws(() => parseRequest("shim/2 lookup 6 a 2147483648"), ProtocolError);
  throws(() => parseRequest("shim/2 lookup 6 a"), ProtocolError);
});

Deno.test("parseRequest() throws nothing but ProtocolError, whatever the bytes", () => {
  const alphabet = [
    "shim/2",
    "connect",
    "claim",
    "lookup",
    " ",
    "80",
    "10.1.1.1",
    "::",
    "any",
    "\0",
    "é",
    "-1",
    "9".repeat(30),
  ];
  let state = 1;
  const random = () => (state = state * 48271 % 0x7fffffff);
  for (let i = 0; i < 20_000; i++) {
    const line = Array.from({ length: random() % 8 }, () => alphabet[random() % alphabet.length]).join(
      random() % 2 ? " " : "",
    );
    try {
      parseRequest(line);
    } catch (error) {
      ok(error instanceof ProtocolError);
    }
  }
});

Deno.test("formatAnswer() writes one line, never longer than the shim reads", () => {
  const text = (...args: Parameters<typeof formatAnswer>) => new TextDecoder().decode(formatAnswer(...args));
  equal(text({ verb: "local", reason: "loopback" }), "local loopback\n");
  equal(text({ verb: "connected", gates: { port4: 1, port6: 0 } }), "connected 1 0\n");
  equal(text({ verb: "pending", gates: { port4: 1, port6: 2 }, plug: 3 }), "pending 1 2 3\n");
  equal(text({ verb: "hello", gates: { port4: 1, port6: 2 }, own: {}, mounts: [] }), "hello 1 2 - -\n");
  const mounts = [{ pod: "/data", host: "/tmp/a b/data" }, { pod: "/é%", host: "/h" }];
  equal(
    text({ verb: "hello", gates: { port4: 1, port6: 2 }, own: { v4: "10.244.0.9" }, mounts }),
    "hello 1 2 10.244.0.9 - /data /tmp/a%20b/data /%C3%A9%25 /h\n",
  );
  equal(text({ verb: "about", connection: undefined }), "unknown\n");
  const to = { address: "::1", port: 5 };
  equal(text({ verb: "about", connection: { state: "pending", to } }), "pending ::1 5\n");
  equal(text({ verb: "about", connection: { state: "failed", code: "EIO" } }), "failed EIO\n");
  equal(text({ verb: "failed", code: "EHOSTUNREACH" }), "failed EHOSTUNREACH\n");
  equal(text({ verb: "addresses", addresses: ["10.1.1.1", "::1"] }), "addresses 10.1.1.1 ::1\n");
  equal(text({ verb: "relay", port: 40001 }), "relay 40001\n");
  equal(text({ verb: "whose", peer: { address: "::1", port: 5 } }), "whose ::1 5\n");
  equal(text({ verb: "whose", peer: undefined }), "unknown\n");
  equal(text({ verb: "name", name: "a.b" }), "name a.b\n");
  equal(text({ verb: "error", message: "a\nb" }), "error a?b\n");
  const many = text({
    verb: "addresses",
    addresses: Array.from({ length: 500 }, (_, i) => `10.1.${i >> 8}.${i & 255}`),
  });
  ok(many.length <= 4096 && /10\.1\.\d+\.\d+\n$/.test(many));
});

Deno.test("canonicalAddress() has one form for each address", () => {
  equals(["1.2.3.4", "::ffff:1.2.3.4", "::FFFF:102:304"].map(canonicalAddress), ["1.2.3.4", "1.2.3.4", "1.2.3.4"]);
  equals(["0:0::1", "name", ""].map(canonicalAddress), ["::1", undefined, undefined]);
});

Deno.test("readLines() gives the same lines however the bytes are cut", async () => {
  const bytes = new TextEncoder().encode("one two\n\nthree\nrest");
  for (let size = 1; size <= bytes.length; size++) {
    const next = readLines({ read: chunks(bytes, size) });
    const lines: (string | undefined)[] = [];
    do lines.push(await next()); while (lines.at(-1) !== undefined);
    equals(lines, ["one two", "", "three", undefined]);
  }
  await rejects(readLines({ read: chunks(new Uint8Array(600).fill(65), 7) }), ProtocolError);
  await rejects(readLines({ read: chunks(new Uint8Array([0xc3, 0xa9, 10]), 1) }), ProtocolError);
});

function chunks(bytes: Uint8Array, size: number) {
  let at = 0;
  return (into: Uint8Array): Promise<number | null> => {
    const part = bytes.subarray(at, at + Math.min(size, into.length));
    into.set(part);
    at += part.length;
    return Promise.resolve(part.length || null);
  };
}
