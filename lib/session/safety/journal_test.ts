import { deepStrictEqual as equals, match, ok, rejects } from "node:assert/strict";
import { makeLog } from "@/log/mod.ts";
import { type Journal, journalDirectory, openJournal, readJournals } from "./journal.ts";
import type { SessionRecord, Step } from "./record.ts";

const RECORD: SessionRecord = {
  version: 1,
  sessionId: "5e55",
  since: "2026-01-01T00:00:00.000Z",
  by: "me@here",
  process: { pid: 1, started: "2" },
  cluster: { context: "c", server: "https://c" },
  namespace: "shop",
  doing: "--swap-deployment deployment/web",
  steps: [],
};
const CLAIM: Step = { kind: "delete", resource: "configmap", name: "claim" };
const PROXY: Step = { kind: "delete", resource: "deployment", name: "proxy" };

async function withDirectory(body: (directory: string) => Promise<void>) {
  const root = await Deno.makeTempDir({ prefix: "telepresence-test-" });
  try {
    await body(`${root}/state/sessions`);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

Deno.test("openJournal() has every step on the disk when add() returns, for its owner alone", async () => {
  await withDirectory(async (directory) => {
    const heard: SessionRecord[] = [];
    const journal: Journal = openJournal(directory, RECORD, {
      onChange: (record) => Promise.resolve(void heard.push(record)),
    });
    const stored = async () => (await readJournals(directory, () => ok(false))).map(({ record }) => record.steps);
    equals(await stored(), []);
    await Promise.all([journal.add(CLAIM), journal.add(PROXY)]);
    equals(await stored(), [[CLAIM, PROXY]]);
    await journal.add({ ...CLAIM, uid: "u" });
    equals(await stored(), [[{ ...CLAIM, uid: "u" }, PROXY]], "a step that is known better keeps its place");
    const { mode } = await Deno.stat(`${directory}/5e55.json`);
    equals((mode ?? 0) & 0o777, 0o600);
    await journal.strike(CLAIM);
    await journal[Symbol.asyncDispose]();
    equals(await stored(), [[PROXY]], "what is left stays written down");
    await journal.strike(PROXY);
    await journal[Symbol.asyncDispose]();
    equals(await stored(), []);
    equals(heard.map(({ steps }) => steps.length), [1, 2, 2, 1, 0], "the guardian hears each change in order");
  });
});

Deno.test("openJournal() refuses the change that it cannot write down", async () => {
  await withDirectory(async (directory) => {
    await Deno.mkdir(directory.slice(0, directory.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(directory, "a file where the directory should be");
    const journal = openJournal(directory, RECORD);
    await rejects(journal.add(CLAIM), /^UserError: Cannot write down what is about to be changed/);
    equals(journal.record.steps, []);
  });
});

Deno.test("openJournal() counts as undone what is undone, where that cannot be written down or told", async () => {
  await withDirectory(async (directory) => {
    const lines: string[] = [];
    const log = makeLog((line) => lines.push(line));
    let isGone = false;
    const onChange = () => isGone ? Promise.reject(new Error("it is gone")) : Promise.resolve();
    const journal = openJournal(directory, RECORD, { onChange, log });
    await journal.add(CLAIM);
    await journal.add(PROXY);
    isGone = true;
    await journal.strike(PROXY);
    await Deno.mkdir(`${directory}/5e55.json.new`); // in the way of each draft
    await journal.strike(CLAIM);
    equals([journal.record.steps, journal.undone], [[], [PROXY, CLAIM]]);
    match(lines[0] ?? "", /stays written down: it is gone$/);
    match(lines[1] ?? "", /stays written down: Cannot write down .*Is a directory/);
    await journal[Symbol.asyncDispose]();
    equals(await readJournals(directory, () => ok(false)), []);
  });
});

Deno.test("readJournals() tells of a file that is no journal, and reads the others", async () => {
  await withDirectory(async (directory) => {
    await openJournal(directory, RECORD).add(CLAIM);
    await Deno.writeTextFile(`${directory}/odd.json`, "{");
    const told: string[] = [];
    equals((await readJournals(directory, (line) => told.push(line))).length, 1);
    ok(told[0]?.startsWith("Cannot read the journal "), told[0]);
  });
});

Deno.test("readJournals() reads none of somebody else: it would be undone with our rights", {
  ignore: Deno.uid() !== 0,
}, async () => {
  await withDirectory(async (directory) => {
    await openJournal(directory, RECORD).add(CLAIM);
    const told: string[] = [];
    const read = () => readJournals(directory, (line) => told.push(line));
    equals((await read()).length, 1);
    await Deno.chown(`${directory}/${RECORD.sessionId}.json`, 65534, 65534);
    equals((await read()).length, 0);
    ok(told[0]?.includes(": it belongs to somebody else. telepresence recover 5e55 "), told[0]);
  });
});

Deno.test("journalDirectory() ignores a relative XDG_STATE_HOME: the folder that one stands in may be anybody's", () => {
  equals(journalDirectory({ XDG_STATE_HOME: "state" }, "/home/me"), "/home/me/.local/state/telepresence/sessions");
  equals(journalDirectory({ XDG_STATE_HOME: "/state" }, "/home/me"), "/state/telepresence/sessions");
});
