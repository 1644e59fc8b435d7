import { deepStrictEqual as equals, match, ok, rejects, throws } from "node:assert/strict";
import { LiveFlow } from "@/pod/mod.ts";
import { UserError } from "@/util/mod.ts";
import { openRecordFile, startRecord } from "./record.ts";
import { printReport, readRecord, reportPage } from "./report.ts";
import { parseRecordLine } from "./told_flow.ts";
import { watchTraffic } from "./traffic.ts";

const HEAD = { session: "5e55104abc", doing: "--new-deployment web", context: "c", namespace: "n" };

/** A session of a failed look-up, a refused connection and an open one; its record's lines. */
async function recordOne(path: string): Promise<string[]> {
  const traffic = watchTraffic();
  {
    await using _record = startRecord(traffic, await openRecordFile(path), { head: HEAD, say() {} });
    const flow = (id: number, kind: "tcp" | "lookup", host: string) =>
      new LiveFlow({ id, kind, peer: { host, port: kind === "tcp" ? 80 : 0 } }, traffic.observer);
    flow(1, "lookup", "<b>nobody</b>").failed(Object.assign(new Error(), { code: "EAI_NONAME" }));
    flow(2, "lookup", "web").answered(["10.0.0.1"]);
    flow(3, "tcp", "10.0.0.1").failed(Object.assign(new Error(), { code: "ECONNREFUSED" }));
    flow(4, "tcp", "10.0.0.1");
  }
  return (await Deno.readTextFile(path)).trimEnd().split("\n");
}

Deno.test("a record is a line for the session, for each flow, and for the totals; its owner alone can read it", async () => {
  const path = await Deno.makeTempFile();
  await Deno.chmod(path, 0o644); // as it may lie there from before
  const lines = (await recordOne(path)).map(parseRecordLine);
  equals(lines.map((line) => line.line === "flow" ? [line.id, line.state, line.error, line.name] : line.line), [
    "session",
    [1, "failed", "EAI_NONAME", undefined],
    [2, "ended", undefined, undefined],
    [3, "failed", "ECONNREFUSED", "web"],
    [4, "opening", undefined, "web"],
    "end",
  ]);
  equals(((await Deno.stat(path)).mode ?? 0) & 0o777, 0o600);
  await Deno.remove(path);
});

Deno.test("a record has the process of what failed at once, where the process itself has said who it is", async () => {
  const path = await Deno.makeTempFile();
  const traffic = watchTraffic();
  {
    await using _record = startRecord(traffic, await openRecordFile(path), { head: HEAD, say() {} });
    const fail = (id: number, kind: "tcp" | "lookup", pid: number) =>
      new LiveFlow({ id, kind, peer: { host: "nobody", port: 0 }, caller: () => ({ pid }) }, traffic.observer)
        .failed(new Error());
    fail(1, "tcp", Deno.pid);
    fail(2, "lookup", Deno.pid);
    fail(3, "lookup", 2 ** 31 - 1); // there is none of this number any more
  }
  const [, ...lines] = (await Deno.readTextFile(path)).trimEnd().split("\n").map((line) => JSON.parse(line));
  const program = (await Deno.readTextFile("/proc/self/comm")).trim();
  equals(lines.slice(0, 3).map(({ pid, program }) => [pid, program]), [
    [Deno.pid, program],
    [Deno.pid, program],
    [2 ** 31 - 1, "?"],
  ]);
  await Deno.remove(path);
});

Deno.test("a disk that is full ends the record, is told once, and not the session", async () => {
  const said: string[] = [];
  const traffic = watchTraffic();
  const file = { write: () => Promise.reject(new Error("No space left on device")), close() {} };
  {
    await using _record = startRecord(traffic, file, { head: HEAD, say: (line) => said.push(line) });
    new LiveFlow({ id: 1, kind: "tcp", peer: { host: "x", port: 1 } }, traffic.observer).failed(new Error());
  }
  equals(said, ["Cannot go on with the record: No space left on device. The session goes on without it."]);
});

Deno.test("openRecordFile() refuses with a sentence, before anything is changed", async () => {
  await rejects(openRecordFile("/nonexistent/record"), (error: unknown) => {
    ok(error instanceof UserError);
    match(error.message, /^Cannot write the record "\/nonexistent\/record": No such file/);
    equals(error.hints.length, 1);
    return true;
  });
});

Deno.test("a report is one page that needs nothing else, with other people's words as text alone", async () => {
  const path = await Deno.makeTempFile();
  const page = reportPage(readRecord(`${(await recordOne(path)).join("\n")}\n`, path));
  await Deno.remove(path);
  ok(!/@@|src=|href=|url\(|@import|https?:\/\//.test(page), "no place is left open, and nothing is fetched");
  match(page, /<meta\s+http-equiv="Content-Security-Policy"\s+content="default-src 'none';/);
  ok(!page.includes("<b>nobody"), "a name is no markup");
  match(page, /look up &lt;b&gt;nobody&lt;\/b&gt;/);
  match(page, /<dt>Failed<\/dt><dd>2<\/dd>/);
  equals(page.match(/<tr class="bad">/g)?.length, 2);
  equals(page.match(/<rect [^>]*class="bad"/g)?.length, 2);
  match(page, /aria-label="web \(10\.0\.0\.1\):80: 2, 1 failed"/);
  equals(page.match(/<th\s[^>]*scope="col"/g)?.length, 8);
});

Deno.test("readRecord() leaves out a line that was cut off, and refuses what is no record", async (t) => {
  const path = await Deno.makeTempFile();
  const lines = await recordOne(path);
  await Deno.remove(path);
  const cut = readRecord(`${lines.slice(0, 3).join("\n")}\n{"line":"fl`, "r");
  equals(cut.flows.map(({ id }) => id), [1, 2]);
  ok(cut.at >= cut.session.at, "it ends with what is known last");
  const table: readonly (readonly [string, string, RegExp])[] = [
    ["empty", "", /it is empty$/],
    ["something else", "hello\n", /line 1 is none of a record$/],
    ["a time that no date has", `${lines[0]?.replace(/"at":\d+/, '"at":1e300')}\n`, /line 1 is none of a record$/],
    ["without its beginning", `${lines[1]}\n`, /it does not begin as a record does$/],
  ];
  for (const [name, text, words] of table) {
    await t.step(name, () => throws(() => readRecord(text, "r"), words));
  }
  await t.step("not there", async () => {
    await rejects(
      printReport("/nonexistent", () => {}),
      {
        message: /^Cannot read the record "\/nonexistent": No such file/,
        hints: ["telepresence --record FILE ... writes one"],
      },
    );
  });
});
