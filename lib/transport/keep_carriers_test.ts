import { deepStrictEqual as equals, ok, rejects } from "node:assert/strict";
import { type Duplex, duplexPair, readFull, sleep, writeAll } from "@/util/mod.ts";
import { seededRandom } from "./_chaos.ts";
import { admitHost, greetAgent, makeSessionKey, nameNewLink } from "./handshake.ts";
import { type DialOptions, keepCarriers, pauseAfter } from "./keep_carriers.ts";
import { openLink } from "./link.ts";
import { type Incoming, openMux } from "./mux.ts";

Deno.test("pauses double up to 5 s, and chance shortens them by up to half", () => {
  equals([0, 1, 2, 5, 6, 60].map((failures) => pauseAfter(failures, 100, 0)), [100, 200, 400, 3200, 5000, 5000]);
  equals([0, 1, 2, 5, 6, 60].map((failures) => pauseAfter(failures, 100, 1)), [50, 100, 200, 1600, 2500, 2500]);
});

Deno.test("hosts that were cut off together come back spread over half of the pause", () => {
  for (const failures of [0, 3, 9]) {
    const longest = pauseAfter(failures, 100, 0);
    const pauses = Array.from({ length: 200 }, (_, seed) => pauseAfter(failures, 100, seededRandom(seed)()));
    for (const pause of pauses) ok(pause > longest / 2 && pause <= longest, `${pause} of ${longest}`);
    for (let tenth = 5; tenth < 10; tenth++) {
      const inTenth = pauses.filter((pause) => Math.floor(pause / longest * 10) === tenth).length;
      ok(inTenth > 10, `${inTenth} of 200 in tenth ${tenth}`);
    }
  }
});

/** More than what other carriers are opened for. */
const CARRIED_BYTES = 17 * 1024 * 1024;

/** Everything takes so much longer to arrive, however busy the machine is: what has come is kept back. */
function delayed(duplex: Duplex, ms: number): Duplex {
  return {
    ...duplex,
    async read(into) {
      const count = await duplex.read(into);
      await sleep(ms);
      return count;
    },
  };
}

/** A link that is kept up over carriers that `dial` gives, each admitted by an agent. */
async function kept(
  dial: (options: DialOptions, open: () => Duplex) => Duplex | Promise<Duplex>,
  { carriers = 2, delayMs = 0 } = {},
) {
  const key = await makeSessionKey();
  const [hostLink, agentLink] = [openLink(), openLink()];
  const served: Promise<unknown>[] = [];
  const open = () => {
    const [near, agent] = duplexPair({ capacityBytes: 4 * 1024 * 1024 });
    const host = delayMs > 0 ? delayed(near, delayMs) : near;
    const admitted = admitHost(agent, key.publicKey, { version: "1", knows: () => true });
    served.push(admitted.then(({ carrier }) => agentLink.attach(carrier, agent), () => {}));
    return host;
  };
  const name = nameNewLink();
  const duplex = open();
  await greetAgent(duplex, key.privateKey, { version: "1", name });
  const keeping = keepCarriers(hostLink, { name, duplex }, {
    dial: async (options) => await dial(options, open),
    key: key.privateKey,
    version: "1",
    carriers,
    pauseMs: 1,
  });
  const onOpen = (incoming: Incoming) => void writeAll(incoming.accept(), new Uint8Array(CARRIED_BYTES));
  const muxes = [openMux(hostLink, { role: "host", onOpen }), openMux(agentLink, { role: "agent", onOpen })];
  return {
    hostLink,
    /** Has the agent send much, and takes it. */
    async carryMuch() {
      const stream = await muxes[0]?.open(new Uint8Array());
      if (stream) await readFull(stream, new Uint8Array(CARRIED_BYTES));
    },
    async [Symbol.asyncDispose]() {
      for (const mux of muxes) await mux[Symbol.asyncDispose]();
      await keeping;
      await Promise.all(served);
    },
  };
}

Deno.test("each attempt knows its carrier and how many failed before it, in the dial or in the handshake", async () => {
  const dialled: (readonly [carrier: number, attempt: number])[] = [];
  let last: Duplex | undefined;
  await using ends = await kept(({ carrier, attempt }, open) => {
    dialled.push([carrier, attempt]);
    if (dialled.length === 1) throw new Error("refused by the test");
    if (dialled.length === 2) {
      const [host, stranger] = duplexPair();
      stranger.close(); // a way that opens and carries nothing
      return host;
    }
    return last = open();
  });
  const up = async () => {
    while (ends.hostLink.carrierCount < 2) await sleep(1);
  };
  await up();
  equals(dialled, [[1, 0], [1, 1], [1, 2]]);
  last?.close();
  while (dialled.length < 4) await sleep(1);
  await up();
  equals(dialled[3], [1, 0], "a carrier that was up begins anew");
});

Deno.test("much that is carried far gets all carriers, near it keeps to two", async () => {
  for (const { delayMs, indexes } of [{ delayMs: 20, indexes: [1, 2, 3] }, { delayMs: 0, indexes: [1] }]) {
    const dialled: number[] = [];
    await using ends = await kept(({ carrier }, open) => {
      dialled.push(carrier);
      return open();
    }, { carriers: 4, delayMs });
    equals(dialled, [1]);
    await ends.carryMuch();
    await sleep(600); // it is looked every 250 ms
    equals(dialled, indexes);
  }
});

Deno.test("a reason why there is no use in another attempt ends the link with it", async () => {
  const key = await makeSessionKey();
  const link = openLink();
  const [host, agent] = duplexPair();
  const name = nameNewLink();
  await Promise.all([
    greetAgent(host, key.privateKey, { version: "1", name }),
    admitHost(agent, key.publicKey, { version: "1" }),
  ]);
  const asked: unknown[] = [];
  const failure = new Error("refused by the test");
  const keeping = keepCarriers(link, { name, duplex: host }, {
    dial: () => Promise.reject(failure),
    gone: (error) => {
      asked.push(error);
      return Promise.resolve(asked.length === 3 ? new Error("The pod is gone") : undefined);
    },
    key: key.privateKey,
    version: "1",
    carriers: 2,
    pauseMs: 1,
  });
  await rejects(link.closed, /The pod is gone/);
  equals(asked, [failure, failure, failure]);
  agent.close();
  await keeping;
});
