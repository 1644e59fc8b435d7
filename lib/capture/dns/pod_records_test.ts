import { deepStrictEqual as equals, rejects } from "node:assert/strict";
import type { DnsRecord } from "@/dns/mod.ts";
import { type DnsAnswer, LookupError } from "@/pod/mod.ts";
import { keepRecords } from "./pod_records.ts";

/** An SOA with the time that it may be kept itself, and how long absence may be. */
function soa(ttl: number, minimum: number): DnsRecord {
  return {
    name: "cluster.local",
    ttl,
    data: {
      type: "SOA",
      primary: "ns.dns.cluster.local",
      mailbox: "hostmaster.cluster.local",
      numbers: [1, 2, 3, 4, minimum],
    },
  };
}

function record(ttl: number): DnsRecord {
  return { name: "web.default.svc.cluster.local", ttl, data: { type: "A", address: "10.96.0.1" } };
}

/** Asks at each of these seconds, and says how often the pod was asked, and with which time each answer came. */
async function askAt(seconds: readonly number[], answer: DnsAnswer): Promise<[asked: number, ttls: number[]]> {
  let asked = 0;
  let now = 0;
  const records = keepRecords({
    resolve() {
      asked++;
      return Promise.resolve(answer);
    },
  }, { now: () => now });
  const ttls: number[] = [];
  for (const second of seconds) {
    now = second * 1000;
    ttls.push((await records.ask("web", 1)).records[0]?.ttl ?? -1);
  }
  return [asked, ttls];
}

const FOUND = { rcode: 0, name: "web.default.svc.cluster.local", authority: [] };
const ABSENT = { rcode: 3, name: "web", records: [] };

Deno.test("ask() keeps records for their time, which runs down", async () => {
  equals(await askAt([0, 10, 29, 30], { ...FOUND, records: [record(30)] }), [2, [30, 20, 1, 30]]);
});

Deno.test("ask() keeps an answer for the shortest time in it, and one without any not at all", async () => {
  equals(await askAt([0, 4, 5], { ...FOUND, records: [record(30), record(5)] }), [2, [30, 26, 30]]);
  equals((await askAt([0, 0, 1], { ...FOUND, records: [record(0)] }))[0], 3);
});

Deno.test("ask() keeps that a name is not there for as long as its zone says, and for five seconds at most", async () => {
  equals((await askAt([0, 2, 3], { ...ABSENT, authority: [soa(30, 3)] }))[0], 2);
  equals((await askAt([0, 2, 3], { ...ABSENT, authority: [soa(3, 30)] }))[0], 2);
  equals((await askAt([0, 4, 5], { ...ABSENT, authority: [soa(3600, 3600)] }))[0], 2);
});

Deno.test("ask() asks once for all who ask at the same time, and keeps no failure", async () => {
  let asked = 0;
  const records = keepRecords({
    async resolve() {
      asked++;
      await Promise.resolve();
      throw new LookupError("EAI_AGAIN", "no answer");
    },
  });
  await Promise.all([rejects(records.ask("web", 1)), rejects(records.ask("WEB", 1))]);
  equals(asked, 1);
  await rejects(records.ask("web", 1), LookupError);
  equals(asked, 2);
});
