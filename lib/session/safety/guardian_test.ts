import { deepStrictEqual as equals, rejects } from "node:assert/strict";
import { guard } from "./guardian.ts";

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
