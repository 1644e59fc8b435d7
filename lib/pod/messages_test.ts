import { deepStrictEqual as equals, throws } from "node:assert/strict";
import { DnsFormatError } from "@/dns/mod.ts";
import { decodeAnswer, encodeAnswer } from "./messages.ts";
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
