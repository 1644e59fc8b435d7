import { deepStrictEqual as equals, ok } from "node:assert/strict";
import {
  decodeMessage,
  type DnsMessage,
  type DnsRecord,
  encodeMessage,
  RCODES,
  type RecordData,
  TYPES,
} from "@/dns/mod.ts";
import { type DnsAnswer, LookupError } from "@/pod/mod.ts";
import { duplexPair } from "@/util/mod.ts";
import { readFrames, toFrame } from "../frames.ts";
import { makeResponder } from "./answer.ts";
import { serveDns } from "./serve.ts";

const QUERY: DnsMessage = {
  id: 7,
  isResponse: false,
  opcode: 0,
  isAuthoritative: false,
  isTruncated: false,
  recursionDesired: true,
  recursionAvailable: false,
  rcode: 0,
  questions: [],
  answers: [],
  authorities: [],
  additionals: [],
};

const ask = (name: string, type: number, more: Partial<DnsMessage> = {}) =>
  encodeMessage({ ...QUERY, questions: [{ name, type, class: 1 }], ...more });

function makePod() {
  const lookups: string[] = [];
  const known: Record<string, readonly string[]> = {
    "helloworld": ["10.96.7.7"],
    "both": ["10.96.7.7", "fd00::7"],
    "many": Array.from({ length: 100 }, (_, index) => `10.0.0.${index}`),
  };
  return {
    lookups,
    known,
    lookup(name: string) {
      lookups.push(name);
      const addresses = known[name.toLowerCase()];
      if (addresses) return Promise.resolve({ addresses });
      return Promise.reject(new LookupError(name === "later" ? "EAI_AGAIN" : "EAI_NONAME", "no"));
    },
    resolve(name: string, type: number): Promise<DnsAnswer> {
      if (name === "later") return Promise.reject(new LookupError("EAI_AGAIN", "no name server answers"));
      const found = `${name}.default.svc.cluster.local`;
      const numbers = [1, 2, 3, 4, 5] as const;
      const soa: DnsRecord = {
        name: "cluster.local",
        ttl: 30,
        data: { type: "SOA", primary: "ns.cluster.local", mailbox: "root.cluster.local", numbers },
      };
      if (type === 99) return Promise.resolve({ rcode: 3, name, records: [], authority: [soa] });
      const data: RecordData = { type: "SRV", priority: 1, weight: 2, port: 80, target: `target.${found}` };
      const records: DnsRecord[] = [{ name: found.toUpperCase(), ttl: 17, data }];
      return Promise.resolve({ rcode: 0, name: found, records, authority: [] });
    },
  };
}

/** Asks a responder; the answer's code and data. */
async function answerOf(
  responder: ReturnType<typeof makeResponder>,
  query: Uint8Array,
  transport: "udp" | "tcp" = "udp",
) {
  const bytes = await responder.answer(query, transport);
  ok(bytes);
  const { id, isResponse, rcode, answers, isTruncated } = decodeMessage(bytes);
  equals([id, isResponse], [7, true]);
  return {
    rcode,
    isTruncated,
    answers: answers.map(({ data }) => "address" in data ? data.address : data.type),
    bytes,
  };
}

Deno.test("answer() gives the pod's addresses, and no error for a family that a name lacks", async () => {
  const pod = makePod();
  const responder = makeResponder(pod);
  const short = async (name: string, type: number) => {
    const { rcode, answers } = await answerOf(responder, ask(name, type));
    return [rcode, ...answers];
  };
  equals(await short("helloworld", TYPES.A), [RCODES.NOERROR, "10.96.7.7"]);
  equals(await short("helloworld", TYPES.AAAA), [RCODES.NOERROR], "musl takes NXDOMAIN here for both families");
  equals(await short("both", TYPES.AAAA), [RCODES.NOERROR, "fd00::7"]);
  equals(await short("absent", TYPES.A), [RCODES.NXDOMAIN]);
  equals(await short("later", TYPES.A), [RCODES.SERVFAIL]);
  equals(await short("helloworld", TYPES.ANY), [RCODES.NOTIMP]);
  equals(pod.lookups, ["helloworld", "both", "absent", "later"], "once for both families");
});

Deno.test("answer() forwards every other type, and what the search list gave answers what was asked", async () => {
  const responder = makeResponder(makePod());
  const bytes = await responder.answer(ask("_http._tcp.helloworld", TYPES.SRV), "udp");
  ok(bytes);
  equals(decodeMessage(bytes).answers, [{
    name: "_http._tcp.helloworld",
    ttl: 17,
    data: {
      type: "SRV",
      priority: 1,
      weight: 2,
      port: 80,
      target: "target._http._tcp.helloworld.default.svc.cluster.local",
    },
  }]);
  const none = decodeMessage(await responder.answer(ask("helloworld", 99), "udp") ?? new Uint8Array());
  equals([none.rcode, none.authorities.length], [RCODES.NXDOMAIN, 1], "a type of RFC 3597, with the SOA for its time");
  equals((await answerOf(responder, ask("later", TYPES.TXT))).rcode, RCODES.SERVFAIL);
});

Deno.test("answer() remembers addresses for as long as it says, and failures not at all", async () => {
  const pod = makePod();
  let now = 0;
  const responder = makeResponder(pod, { now: () => now });
  await responder.answer(ask("late", TYPES.A), "udp");
  pod.known["late"] = ["10.1.1.1"];
  equals((await answerOf(responder, ask("late", TYPES.A))).answers, ["10.1.1.1"]);
  pod.known["late"] = ["10.2.2.2"];
  now = 4999;
  equals((await answerOf(responder, ask("LATE", TYPES.A))).answers, ["10.1.1.1"]);
  now = 5001;
  equals((await answerOf(responder, ask("late", TYPES.A))).answers, ["10.2.2.2"]);
});

Deno.test("answer() fits into what the transport takes, and says when it does not", async () => {
  const responder = makeResponder(makePod());
  const plain = await answerOf(responder, ask("many", TYPES.A));
  ok(plain.isTruncated && plain.bytes.length <= 512);
  const edns = { edns: { udpBytes: 65000, version: 0, dnssecOk: false } };
  const wide = await answerOf(responder, ask("many", TYPES.A, edns));
  ok(wide.isTruncated && wide.bytes.length > 512 && wide.bytes.length <= 1232);
  equals((await answerOf(responder, ask("many", TYPES.A), "tcp")).answers.length, 100);
});

Deno.test("answer() refuses what it does not understand, each in its way", async () => {
  const responder = makeResponder(makePod());
  const code = async (query: Uint8Array) => (await answerOf(responder, query)).rcode;
  equals(await code(ask("a", TYPES.A, { opcode: 5 })), RCODES.NOTIMP);
  equals(await code(ask("a", TYPES.A, { edns: { udpBytes: 512, version: 1, dnssecOk: false } })), RCODES.BADVERS);
  equals(await code(encodeMessage(QUERY)), RCODES.FORMERR);
  equals(await code(ask("helloworld", TYPES.A).slice(0, -1)), RCODES.FORMERR);
  equals(await responder.answer(ask("a", TYPES.A, { isResponse: true }), "udp"), undefined);
  equals(await responder.answer(new Uint8Array(5), "udp"), undefined);
});

Deno.test("answer() takes the host's own names from the host", async () => {
  const pod = makePod();
  const ownNames = (name: string) => Promise.resolve(name === "localhost" ? ["127.0.0.1", "::1"] : undefined);
  const responder = makeResponder(pod, { ownNames });
  equals((await answerOf(responder, ask("localhost", TYPES.AAAA))).answers, ["::1"]);
  equals(pod.lookups, []);
});

Deno.test("serveDns() answers each query of a stream, wherever it is cut", async () => {
  const queries = ["helloworld", "both"].map((name) => toFrame(ask(name, TYPES.A)));
  const stream = new Uint8Array([...queries[0] ?? [], ...queries[1] ?? []]);
  for (let cut = 1; cut < stream.length; cut++) {
    const [program, ours] = duplexPair();
    const serving = serveDns(ours, { responder: makeResponder(makePod()), transport: "tcp" });
    const writing = (async () => {
      for (const part of [stream.slice(0, cut), stream.slice(cut)]) {
        for (let at = 0; at < part.length;) at += await program.write(part.subarray(at));
      }
      await program.closeWrite();
    })();
    const answers: number[] = [];
    for await (const answer of readFrames(program)) answers.push(decodeMessage(answer).answers.length);
    await Promise.all([writing, serving]);
    equals(answers, [1, 1]);
    ours.close();
    program.close();
  }
});
