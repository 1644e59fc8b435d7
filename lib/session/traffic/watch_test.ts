import { deepStrictEqual as equals, match, ok, rejects } from "node:assert/strict";
import { silentLog } from "@/log/mod.ts";
import { LiveFlow } from "@/pod/mod.ts";
import { UserError } from "@/util/mod.ts";
import { serveTraffic, trafficSocket } from "./serve_traffic.ts";
import { parseSnapshot, type Snapshot, type ToldFlow } from "./told_flow.ts";
import { watchTraffic } from "./traffic.ts";
import { changesOf, frameOf, watchSessions } from "./watch.ts";

const AT = Date.parse("2026-01-01T00:01:00Z");
const FLOW: ToldFlow = {
  id: 1,
  kind: "tcp",
  host: "10.96.0.10",
  port: 80,
  state: "open",
  since: AT - 2000,
  sent: 82,
  received: 5000,
};
const SNAPSHOT: Snapshot = {
  session: "5e55104abc",
  doing: "--new-deployment web",
  pod: "web-1",
  since: "2026-01-01T00:00:00Z",
  at: AT,
  totals: { opened: 1, failed: 2, accepted: 1, sent: 82, received: 5000 },
  flows: [
    { ...FLOW, name: "helloworld", pid: 42, program: "curl" },
    { ...FLOW, id: 2, port: 81, state: "failed", until: AT - 1000, error: "ECONNREFUSED", sent: 0, received: 0 },
    { ...FLOW, id: 3, kind: "lookup", host: "nobody", port: 0, state: "failed", until: AT - 1900, error: "EAI_NONAME" },
    { ...FLOW, id: 4, kind: "exposed", host: "fd00::9", port: 8080 },
    { ...FLOW, id: 5, kind: "udp", host: "10.0.0.1", port: 53 },
  ],
};

Deno.test("frameOf() shows each flow with its state, names, bytes, age and program", () => {
  equals(frameOf(SNAPSHOT, 200).split("\n"), [
    "Session 5e55104abc (--new-deployment web) in pod web-1, 1 min 0 s: 1 opened, 1 from the cluster, 2 failed, 82 B sent, 5.0 kB received",
    "STATE         WHAT                         SENT  RECEIVED    AGE  BY",
    "open          helloworld (10.96.0.10):80   82 B    5.0 kB  2.0 s  curl [42]",
    "ECONNREFUSED  10.96.0.10:81                 0 B       0 B  1.0 s",
    "EAI_NONAME    look up nobody                               0.1 s",
    "open          from [fd00::9] to port 8080  82 B    5.0 kB  2.0 s",
    "open          udp 10.0.0.1:53              82 B    5.0 kB  2.0 s",
    "",
  ]);
  for (const line of frameOf(SNAPSHOT, 40).split("\n")) ok(line.length < 40, line);
  match(frameOf({ ...SNAPSHOT, flows: [] }, 80), /\nNo connections\.\n$/);
});

Deno.test("changesOf() is a line for each flow whose state is another one", () => {
  const before = { ...SNAPSHOT, flows: SNAPSHOT.flows.slice(0, 2) };
  const after = {
    ...SNAPSHOT,
    flows: [{ ...FLOW, state: "ended" as const, until: AT }, ...SNAPSHOT.flows.slice(1, 3)],
  };
  equals(changesOf(before, after).split("\n"), [
    "5e55104abc  ended after 2.0 s: 10.96.0.10:80, 82 B sent, 5.0 kB received",
    "5e55104abc  EAI_NONAME after 0.1 s: look up nobody",
    "",
  ]);
  equals(changesOf(SNAPSHOT, SNAPSHOT), "");
  equals(changesOf(SNAPSHOT, { ...SNAPSHOT, pod: "web-2" }), "5e55104abc  in pod web-2\n");
});

Deno.test("serveTraffic() tells whoever may open its socket, which is the owner alone, and takes it away", async () => {
  const directory = await Deno.makeTempDir();
  const path = trafficSocket(directory, "5e55104abcdef");
  const traffic = watchTraffic();
  const place = { pod: "web-1" };
  const record = { sessionId: "5e55104abcdef", doing: "--new-deployment web", since: "2026-01-01T00:00:00Z" };
  {
    await using _serving = await serveTraffic(traffic, path, { record, place, log: silentLog, tickMs: 5 });
    equals(((await Deno.stat(path)).mode ?? 0) & 0o777, 0o600);
    new LiveFlow({ id: 1, kind: "tcp", peer: { host: "10.0.0.1", port: 80 } }, traffic.observer).failed(
      Object.assign(new Error(), { code: "ECONNREFUSED" }),
    );
    using conn = await Deno.connect({ transport: "unix", path });
    const buffer = new Uint8Array(65536);
    const count = await conn.read(buffer) ?? 0;
    const [line = ""] = new TextDecoder().decode(buffer.subarray(0, count)).split("\n");
    const { session, flows, totals } = parseSnapshot(line);
    equals([session, flows.map(({ host, error }) => [host, error]), totals.failed], [
      "5e55104abc",
      [["10.0.0.1", "ECONNREFUSED"]],
      1,
    ]);
  }
  equals(await Array.fromAsync(Deno.readDir(directory)), []);
  await Deno.remove(directory);
});

Deno.test("serveTraffic() is no reason to end a session where there is no place for a socket", async () => {
  const place = { pod: "" };
  const record = { sessionId: "x", doing: "", since: "" };
  for (const path of [`/tmp/${"long".repeat(40)}.sock`, "/nonexistent/x.sock"]) {
    await using _serving = await serveTraffic(watchTraffic(), path, { record, place, log: silentLog });
  }
});

Deno.test("watchSessions() says so when there is nothing to watch", async () => {
  const home = await Deno.makeTempDir();
  const options = { env: {}, home, signal: new AbortController().signal, say() {}, print() {} };
  await rejects(watchSessions({ sessions: ["5e"], output: "text" }, options), (error: unknown) => {
    ok(error instanceof UserError);
    match(error.message, /^Cannot watch: no session whose id begins with 5e runs on this machine$/);
    return true;
  });
  await Deno.remove(home);
});
