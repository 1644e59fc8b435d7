import { deepStrictEqual as equals, match } from "node:assert/strict";
import { type KubeClient, pods } from "@/kube/mod.ts";
import { makeLog } from "@/log/mod.ts";
import { SESSION_LABEL } from "../labels.ts";
import { originalWith } from "./_test_original.ts";
import { readImageEnvironment } from "./image_environment.ts";

const ORIGINAL = originalWith();
type Exec = KubeClient["exec"];

/** Asks of a cluster that has these states of the container, where a command ends so. @returns the answer, and the log */
async function check(
  states: readonly ("running" | "waiting")[],
  exec: Exec,
  metadata: readonly Record<string, unknown>[] = [],
): Promise<{ text: string; log: string }> {
  const items = states.map((state, index) =>
    pods.parse({
      metadata: { name: `web-${index}`, uid: `u${index}`, ...metadata[index] },
      spec: { containers: [] },
      status: { containerStatuses: [{ name: ORIGINAL.container, state: { [state]: {} } }] },
    })
  );
  const kube = { list: () => Promise.resolve({ items }), exec } as unknown as KubeClient;
  const lines: string[] = [];
  const log = makeLog((line) => void lines.push(line));
  const signal = new AbortController().signal;
  const text = await readImageEnvironment(ORIGINAL, { kube, namespace: "shop", log, signal });
  return { text, log: lines.join("\n") };
}

Deno.test("readImageEnvironment() asks the container of a pod that runs", async () => {
  const asked: unknown[] = [];
  const { text, log } = await check(["waiting", "running"], ({ name }, { container, command }) => {
    asked.push(name, container, ...command);
    return Promise.resolve({ code: 0, stdout: "A=1\n2\0B=\0", stderr: "" });
  });
  equals([text, log], ["A=1\n2\0B=\0", ""]);
  equals(asked, ["web-1", ORIGINAL.container, "cat", "/proc/self/environ"]);
});

Deno.test("readImageEnvironment() asks no pod that is ending, and no proxy that a session has in the workload's place", async () => {
  const asked: string[] = [];
  const answer: Exec = ({ name }) => {
    asked.push(name);
    return Promise.resolve({ code: 0, stdout: "A=1\0", stderr: "" });
  };
  await check(["running", "running", "running"], answer, [
    { labels: { [SESSION_LABEL]: "5e55" } },
    { deletionTimestamp: "2026-01-01T00:00:00Z" },
  ]);
  equals(asked, ["web-2"]);
});

Deno.test("readImageEnvironment() tells the log why nobody answers, and goes on", async (t) => {
  const never: Exec = () => Promise.reject(new Error("not to be called"));
  const cases = [
    { name: "no pod runs", states: ["waiting"] as const, exec: never, why: /it has no running pod to ask/ },
    {
      name: "no right, no cat",
      states: ["running"] as const,
      exec: (() => Promise.reject(new Error('pods "web" is forbidden'))) as Exec,
      why: /pods "web" is forbidden/,
    },
    {
      name: "cat fails",
      states: ["running"] as const,
      exec: (() => Promise.resolve({ code: 1, stdout: "A=", stderr: "cat: no /proc\n" })) as Exec,
      why: /cat: no \/proc/,
    },
  ];
  for (const { name, states, exec, why } of cases) {
    await t.step(name, async () => {
      const { text, log } = await check(states, exec);
      equals(text, "");
      match(log, /The variables of the original's image are not known: /);
      match(log, why);
    });
  }
});
