import { deepStrictEqual as equals, ok, rejects } from "node:assert/strict";
import { type Duplex, duplexPair, writeAll } from "@/util/mod.ts";
import { admitHost, greetAgent, HandshakeError, makeSessionKey } from "./link.ts";

const message = (value: unknown) => {
  const body = new TextEncoder().encode(JSON.stringify(value));
  return new Uint8Array([body.length >> 8, body.length & 255, ...body]);
};

Deno.test("the host that holds the session's key is let in, and both ends know the other's version", async () => {
  for (const chunkBytes of [1, 5, 10_000]) {
    const key = await makeSessionKey();
    const [host, agent] = duplexPair({ chunkBytes });
    equals(
      await Promise.all([
        greetAgent(host, key.privateKey, { version: "1.2.3" }),
        admitHost(agent, key.publicKey, { version: "1.2.4" }),
      ]),
      ["1.2.4", "1.2.3"],
    );
  }
});

Deno.test("a host with another key is refused, and told why", async () => {
  const [ours, other] = [await makeSessionKey(), await makeSessionKey()];
  const [host, agent] = duplexPair();
  const [greeted, admitted] = await Promise.allSettled([
    greetAgent(host, other.privateKey, { version: "1" }),
    admitHost(agent, ours.publicKey, { version: "1" }),
  ]);
  for (const side of [greeted, admitted]) {
    ok(side.status === "rejected" && side.reason instanceof HandshakeError);
    ok(/signature is not that of this session's key/.test(side.reason.message), side.reason.message);
  }
});

Deno.test("a peer of another protocol is refused with a sentence that names both versions", async () => {
  const { privateKey, publicKey } = await makeSessionKey();
  const [host, agent] = duplexPair();
  await writeAll(agent, message({ telepresence: 2, version: "9.0", challenge: "" }));
  await rejects(greetAgent(host, privateKey, { version: "1.0" }), /agent is version 9\.0.*this is version 1\.0/);
  const [newer, admitting] = duplexPair();
  await writeAll(newer, message({ telepresence: 2, version: "9.0", signature: "" }));
  await rejects(admitHost(admitting, publicKey, { version: "1.0" }), /host is version 9\.0.*this is version 1\.0/);
});

Deno.test("something else on the agent's port is a sentence, not a hang", async (t) => {
  const { privateKey } = await makeSessionKey();
  const cases: { name: string; say: (agent: Duplex) => Promise<unknown>; words: RegExp }[] = [
    {
      name: "HTTP",
      say: (agent) => writeAll(agent, new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n")),
      words: /Something else/,
    },
    { name: "not JSON", say: (agent) => writeAll(agent, new Uint8Array([0, 1, 65])), words: /Something else/ },
    { name: "another JSON", say: (agent) => writeAll(agent, message({ hello: 1 })), words: /Something else/ },
    { name: "nothing at all", say: (agent) => Promise.resolve(agent.closeWrite()), words: /closed the connection/ },
    {
      name: "the end in the middle",
      say: async (agent) => {
        await writeAll(agent, new Uint8Array([0, 9, 65]));
        await agent.closeWrite();
      },
      words: /in the middle/,
    },
  ];
  for (const { name, say, words } of cases) {
    await t.step(name, async () => {
      const [host, agent] = duplexPair();
      await say(agent);
      await rejects(greetAgent(host, privateKey, { version: "1" }), words);
    });
  }
});

Deno.test("random answers to the challenge are refused", async () => {
  const { publicKey } = await makeSessionKey();
  for (let round = 0; round < 50; round++) {
    const [host, agent] = duplexPair();
    const signature = crypto.getRandomValues(new Uint8Array(round * 2)).toBase64({ alphabet: "base64url" });
    await writeAll(host, message({ telepresence: 1, version: "1", signature }));
    await rejects(admitHost(agent, publicKey, { version: "1" }), HandshakeError);
  }
});
