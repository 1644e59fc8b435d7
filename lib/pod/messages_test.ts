import { deepStrictEqual as equals, throws } from "node:assert/strict";
import { DnsFormatError } from "@/dns/mod.ts";
import { AgentRequest, decodeAnswer, decodeMessage, encodeAnswer, LookupReply } from "./messages.ts";
import type { DnsAnswer } from "./pod.ts";

Deno.test("decodeAnswer() gives what encodeAnswer() was given, whatever the code and the name", () => {
  const answer: DnsAnswer = {
    rcode: 0,
    name: "web.default.svc.cluster.local",
    records: [{ name: "web.default.svc.cluster.local", ttl: 5, data: { type: "A", address: "10.96.0.7" } }],
    authority: [],
  };
  const soa = {
    name: "",
    ttl: 60,
    data: { type: "SOA", primary: "a.b", mailbox: "c.b", numbers: [1, 2, 3, 4, 5] },
  } as const;
  for (const each of [answer, { ...answer, rcode: 3, records: [], authority: [soa] }, { ...answer, rcode: 23 }]) {
    equals(decodeAnswer(encodeAnswer(each)), each);
  }
});

Deno.test("decodeAnswer() refuses what is no answer", () => {
  throws(() => decodeAnswer(new Uint8Array(11)), DnsFormatError);
  throws(() => decodeAnswer(new Uint8Array(12)), DnsFormatError, "an answer to no question");
});

Deno.test("what the agent says of addresses is one word of printable text", () => {
  const text = (message: unknown) => new TextEncoder().encode(JSON.stringify(message));
  const reply = (address: string) => decodeMessage(LookupReply, text({ addresses: [address] })).addresses;
  const accepted = (host: string) =>
    decodeMessage(AgentRequest, text({ ask: "accepted", listener: 1, from: { host, port: 7 } })).from.host;
  for (const address of ["10.0.0.1", "fe80::1%eth0", "2001:db8::a7"]) {
    equals([reply(address), accepted(address)], [[address], address]);
  }
  for (const address of ["", "1.2.3.4 5.6.7.8", "1.2.3.4\nlocal", "\x1b[2J", "1".repeat(101)]) {
    throws(() => reply(address));
    throws(() => accepted(address));
  }
});
