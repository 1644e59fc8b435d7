import { deepStrictEqual as equals } from "node:assert/strict";
import { LiveFlow, type Observer } from "@/pod/mod.ts";
import type { MuxStream } from "@/transport/mod.ts";
import { ENDED_MS, FAILED_MS, watchTraffic } from "./traffic.ts";

function streamOf(sentBytes: number, receivedBytes: number) {
  let over: (error: Error | undefined) => void = () => {};
  const stream = { sentBytes, receivedBytes, onOver: (tell: typeof over) => void (over = tell) };
  return { stream: stream as unknown as MuxStream, end: (error?: Error) => over(error), counts: stream };
}

function flow(id: number, kind: LiveFlow["kind"], host: string, tell: Observer): LiveFlow {
  return new LiveFlow({ id, kind, peer: { host, port: 80 } }, tell);
}

Deno.test("totals count live and ended connections, in both directions, and what failed", () => {
  const traffic = watchTraffic();
  const [first, second] = [streamOf(10, 20), streamOf(1, 2)];
  flow(1, "tcp", "web", traffic.observer).opened(first.stream);
  const caller = flow(2, "exposed", "10.0.0.9", traffic.observer);
  caller.opened(second.stream);
  flow(3, "tcp", "nobody", traffic.observer).failed(Object.assign(new Error("no"), { code: "ECONNREFUSED" }));
  equals(traffic.totals(), { opened: 1, accepted: 1, failed: 1, sent: 11, received: 22 });
  first.counts.sentBytes = 15;
  equals(traffic.totals().sent, 16, "a live connection is counted as it is");
  first.end();
  first.counts.sentBytes = 99;
  equals(traffic.totals().sent, 16, "one that is over stays as it was, once");
});

Deno.test("what failed stays to be seen longer than what ended well, and neither stays for ever", () => {
  let time = Date.now();
  const traffic = watchTraffic(() => time);
  const ended = streamOf(0, 0);
  flow(1, "tcp", "well", traffic.observer).opened(ended.stream);
  ended.end();
  flow(2, "lookup", "no-such-name", traffic.observer).failed(Object.assign(new Error(), { code: "EAI_NONAME" }));
  flow(3, "tcp", "under-way", traffic.observer);
  const seen = () => traffic.flows().map(({ peer, state, error }) => [peer.host, state, error]);
  const [failed, live] = [["no-such-name", "failed", "EAI_NONAME"], ["under-way", "opening", undefined]];
  equals(seen(), [["well", "ended", undefined], failed, live]);
  time += ENDED_MS + 100;
  equals(seen(), [failed, live]);
  time += FAILED_MS;
  equals(seen(), [live]);
});

Deno.test("an address is known by the name that was looked up last", () => {
  const traffic = watchTraffic();
  flow(1, "lookup", "old", traffic.observer).answered(["10.0.0.1"]);
  flow(2, "lookup", "new", traffic.observer).answered(["10.0.0.1", "10.0.0.2"]);
  equals([traffic.nameOf("10.0.0.1"), traffic.nameOf("10.0.0.2"), traffic.nameOf("10.0.0.3")], [
    "new",
    "new",
    undefined,
  ]);
});

Deno.test("who listens hears each change until it is disposed of", () => {
  const traffic = watchTraffic();
  const heard: string[] = [];
  const stream = streamOf(0, 0);
  {
    using _listening = traffic.listen(({ id, state }) => heard.push(`${id} ${state}`));
    flow(1, "tcp", "web", traffic.observer).opened(stream.stream);
    stream.end(Object.assign(new Error(), { code: "ECONNRESET" }));
  }
  flow(2, "tcp", "web", traffic.observer);
  equals(heard, ["1 opening", "1 open", "1 ended"]);
});

Deno.test("what is over is kept up to a number: who opens connections for days fills no memory", () => {
  const traffic = watchTraffic();
  for (let id = 1; id <= 2000; id++) flow(id, "tcp", "x", traffic.observer).failed(new Error());
  equals([traffic.flows().length, traffic.flows()[0]?.id, traffic.totals().failed], [500, 1501, 2000]);
});
