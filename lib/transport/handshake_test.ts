import { deepStrictEqual as equals, ok, rejects } from "node:assert/strict";
import { type Duplex, duplexPair, readFull, writeAll } from "@/util/mod.ts";
import { admitHost, greetAgent, HandshakeError, LinkUnknown, makeSessionKey, nameNewLink } from "./handshake.ts";

const message = (value: unknown) => {
  const body = new TextEncoder().encode(JSON.stringify(value));
  return new Uint8Array([body.length >> 8, body.length & 255, ...body]);
};

Deno.test("the host that holds the session's key is let in, and both ends know the other's version", async () => {
  for (const chunkBytes of [1, 5, 10_000]) {
    const key = await makeSessionKey();
    const [host, agent] = duplexPair({ chunkBytes });
    const name = nameNewLink();
    const [greeted, admitted] = await Promise.all([
      greetAgent(host, key.privateKey, { version: "1.2.3", name }),
      admitHost(agent, key.publicKey, { version: "1.2.4" }),
    ]);
    equals(greeted, "1.2.4");
    equals({ version: admitted.version, link: admitted.link, carrier: admitted.carrier, fresh: admitted.fresh }, {
      version: "1.2.3",
      ...name,
    });
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
  await writeAll(agent, message({ telepresence: 9, version: "9.0", challenge: "" }));
  await rejects(greetAgent(host, privateKey, { version: "1.0" }), /agent is version 9\.0.*this is version 1\.0/);
  const [newer, admitting] = duplexPair();
  await writeAll(newer, message({ telepresence: 9, version: "9.0", signature: "" }));
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
    await writeAll(host, message({ telepresence: 3, version: "1", ...nameNewLink(), signature }));
    await rejects(admitHost(agent, publicKey, { version: "1" }), HandshakeError);
  }
});

Deno.test("a link is resumed only where it is known, and by a carrier that was signed for it", async () => {
  const { privateKey, publicKey } = await makeSessionKey();
  const name = { ...nameNewLink(), carrier: 3, fresh: false };
  const meet = async (knows: (link: string) => boolean) => {
    const [host, agent] = duplexPair();
    return await Promise.allSettled([
      greetAgent(host, privateKey, { version: "1", name }),
      admitHost(agent, publicKey, { version: "1", knows }),
    ]);
  };
  const [, known] = await meet((link) => link === name.link);
  ok(known.status === "fulfilled" && known.value.carrier === 3 && !known.value.fresh);
  const [unknown] = await meet(() => false);
  ok(unknown.status === "rejected" && unknown.reason instanceof LinkUnknown, "the host learns that it is lost");
});

Deno.test("a proof cannot be made another carrier's or another link's on its way", async () => {
  const { privateKey, publicKey } = await makeSessionKey();
  const forgeries = [{ carrier: 1 }, { fresh: false }, { link: nameNewLink().link }, { link: "short" }];
  for (const forgery of forgeries) {
    const [host, inTheMiddle] = duplexPair();
    const [outward, agent] = duplexPair();
    const admitted = admitHost(agent, publicKey, { version: "1", knows: () => true });
    admitted.catch(() => {}); // looked at below
    const greeted = greetAgent(host, privateKey, { version: "1" });
    greeted.catch(() => {}); // nobody answers it
    await writeAll(inTheMiddle, await readMessage(outward));
    const proof = JSON.parse(new TextDecoder().decode((await readMessage(inTheMiddle)).subarray(2)));
    await writeAll(outward, message({ ...proof, ...forgery }));
    await rejects(admitted, HandshakeError);
    host.close();
    await rejects(greeted);
  }
});

async function readMessage(from: Duplex): Promise<Uint8Array> {
  const header = new Uint8Array(2);
  await readFull(from, header);
  const body = new Uint8Array((header[0] ?? 0) << 8 | (header[1] ?? 0));
  await readFull(from, body);
  return new Uint8Array([...header, ...body]);
}
