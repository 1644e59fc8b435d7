import { deepStrictEqual as equals, ok, rejects } from "node:assert/strict";
import type { ClusterConfig } from "@/kube/mod.ts";
import { silentLog } from "@/log/mod.ts";
import { sleep } from "@/util/mod.ts";
import { guard, startGuardian } from "./guardian.ts";
import type { SessionRecord } from "./record.ts";

Deno.test("guard() shows control characters of what it tells: the terminal is written to as it is", async () => {
  const step = { kind: "delete", resource: "configmap", name: "a\x1b[2J\u009bb" };
  const messages = [
    { kind: "hello", cluster: {}, path: "/nowhere", terminal: "/dev/pts/9" },
    { kind: "journal", record: { steps: [step] } },
  ];
  const input = new Blob(messages.map((message) => `${JSON.stringify(message)}\n`)).stream();
  const said: unknown[] = [];
  const enough = new Error("enough");
  const say = (...words: unknown[]) => {
    said.push(words);
    throw enough;
  };
  await rejects(guard({ input, say }), enough);
  equals(said, [["telepresence was killed. Giving back: configmap/a\\x1b[2J\\x9bb", "/dev/pts/9"]]);
});

Deno.test("guard() gives back by the last whole record, wherever a longer one is cut off by kill -9", async () => {
  const recordOf = (...names: string[]) => ({
    kind: "journal",
    record: { steps: names.map((name) => ({ kind: "delete", resource: "configmap", name })) },
  });
  const hello = { kind: "hello", cluster: {}, path: "/nowhere" };
  const whole = [hello, recordOf("first")].map((message) => `${JSON.stringify(message)}\n`).join("");
  const next = JSON.stringify(recordOf("first", "second"));
  const enough = new Error("enough");
  for (let end = 0; end < next.length; end++) {
    const said: string[] = [];
    const say = (line: string) => {
      said.push(line);
      throw enough;
    };
    await rejects(guard({ input: new Blob([whole, next.slice(0, end)]).stream(), say }), enough);
    equals(said, ["telepresence was killed. Giving back: configmap/first"], `${end} bytes of the next record`);
  }
});

Deno.test("startGuardian() knows whether it still watches", async () => {
  const start = (script: string) => {
    const command = ["sh", "-c", script] as const;
    return startGuardian({ command, cluster: {} as ClusterConfig, path: "/nowhere", log: silentLog });
  };
  const watching = await start("cat");
  ok(watching.isThere());
  await watching[Symbol.asyncDispose]();
  ok(!watching.isThere());
  const gone = await start("read -r hello");
  while (gone.isThere()) await sleep(10);
  await rejects(gone.tell({} as SessionRecord), /Cannot reach the guardian process/);
  await gone[Symbol.asyncDispose]();
});
