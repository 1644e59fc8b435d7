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

/** The SOA of a zone in which absence may be kept for four seconds. */
const SOA: DnsRecord = {
  name: "cluster.local",
  ttl: 30,
  data: { type: "SOA", primary: "ns.cluster.local", mailbox: "root.cluster.local", numbers: [1, 2, 3, 3600, 4] },
};

/** A pod whose search list has one domain, in which names have addresses for 17 seconds, and SRV records. */
function makePod() {
  const asked: string[] = [];
  const known: Record<string, readonly string[]> = {
    "helloworld": ["10.96.7.7"],
    "both": ["10.96.7.7", "fd00::7"],
    "many": Array.from({ length: 100 }, (_, index) => `10.0.0.${index}`),
  };
  return {
    asked,
    known,
    resolve(asIs: string, type: number): Promise<DnsAnswer> {
      asked.push(`${type} ${asIs}`);
      const name = `${asIs}.default.svc.cluster.local`;
      if (asIs === "later") return Promise.reject(new LookupError("EAI_AGAIN", "no name server answers"));
      if (asIs === "unnamed") return Promise.reject(new LookupError("EAI_NONAME", "it is no name"));
      const none = (rcode: number) => Promise.resolve({ rcode, name, records: [], authority: [SOA] });
      const found = (data: RecordData): DnsRecord => ({ name: name.toUpperCase(), ttl: 17, data });
      if (type === TYPES.SRV) {
        const data: RecordData = { type: "SRV", priority: 1, weight: 2, port: 80, target: `target.${name}` };
        return Promise.resolve({ rcode: 0, name, records: [found(data)], authority: [] });
      }
      const addresses = known[asIs.toLowerCase()];
      if (!addresses) return none(RCODES.NXDOMAIN);
      const wanted = type === TYPES.A ? "A" : "AAAA";
      const records = addresses.filter((address) => address.includes(":") === (wanted === "AAAA"))
        .map((address) => found({ type: wanted, address }));
      return records.length === 0 ? none(RCODES.NOERROR) : Promise.resolve({ rcode: 0, name, records, authority: [] });
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
  equals(await short("unnamed", TYPES.A), [RCODES.NXDOMAIN]);
  equals(await short("helloworld", TYPES.ANY), [RCODES.NOTIMP]);
});

Deno.test("answer() gives an alias with what it leads to, and the SOA of what is not there", async () => {
  const alias: DnsRecord = {
    name: "elsewhere.default.svc.cluster.local",
    ttl: 9,
    data: { type: "CNAME", target: "www.example" },
  };
  const address: DnsRecord = { name: "www.example", ttl: 30, data: { type: "A", address: "192.0.2.7" } };
  const resolve = (): Promise<DnsAnswer> =>
    Promise.resolve({ rcode: 0, name: alias.name, records: [alias, address], authority: [] });
  const whole = await makeResponder({ resolve }).answer(ask("elsewhere", TYPES.A), "udp");
  equals(decodeMessage(whole ?? new Uint8Array()).answers, [{ ...alias, name: "elsewhere" }, address]);
  const none = await makeResponder(makePod()).answer(ask("helloworld", TYPES.AAAA), "udp");
  equals(decodeMessage(none ?? new Uint8Array()).authorities, [SOA]);
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
  const none = decodeMessage(await responder.answer(ask("absent", 99), "udp") ?? new Uint8Array());
  equals([none.rcode, none.authorities.length], [RCODES.NXDOMAIN, 1], "a type of RFC 3597, with the SOA for its time");
  equals((await answerOf(responder, ask("later", TYPES.TXT))).rcode, RCODES.SERVFAIL);
});

Deno.test("answer() keeps addresses for their own time and no longer, absence for the SOA's, failures not at all", async () => {
  const pod = makePod();
  let now = 0;
  const responder = makeResponder(pod, { now: () => now });
  const at = async (seconds: number, name: string, type: number = TYPES.A) => {
    now = seconds * 1000;
    const { rcode, answers } = await answerOf(responder, ask(name, type));
    return [rcode, ...answers];
  };
  equals(await at(0, "moved"), [RCODES.NXDOMAIN]);
  pod.known["moved"] = ["10.1.1.1"];
  equals(await at(3.9, "moved"), [RCODES.NXDOMAIN]);
  equals(await at(4, "moved"), [RCODES.NOERROR, "10.1.1.1"]);
  pod.known["moved"] = ["10.2.2.2", "fd00::2"];
  equals(await at(20.9, "MOVED"), [RCODES.NOERROR, "10.1.1.1"]);
  equals(await at(20.9, "moved", TYPES.AAAA), [RCODES.NOERROR, "fd00::2"], "each family has its own time");
  equals(await at(21, "moved"), [RCODES.NOERROR, "10.2.2.2"]);
  const before = pod.asked.length;
  for (const _ of [1, 2]) equals(await at(21, "later"), [RCODES.SERVFAIL]);
  equals(pod.asked.slice(before), ["1 later", "1 later"]);
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
  const { answers, bytes } = await answerOf(responder, ask("localhost", TYPES.A));
  equals(answers, ["127.0.0.1"]);
  equals(decodeMessage(bytes).answers[0]?.ttl, 0, "the host keeps it, nobody else");
  equals(pod.asked, []);
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

Deno.test("answer() asks nobody for names of the domain that has none (RFC 6761, section 6.4)", async () => {
  const pod = makePod();
  const responder = makeResponder(pod);
  for (const name of ["helloworld.invalid", "web.other.INVALID", "invalid"]) {
    equals(decodeMessage(await responder.answer(ask(name, TYPES.A), "udp") ?? new Uint8Array()).rcode, RCODES.NXDOMAIN);
  }
  equals(pod.asked, []);
});
