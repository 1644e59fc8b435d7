import { silentLog } from "@/log/mod.ts";
import { deepStrictEqual as equals, rejects, strictEqual as equal } from "node:assert/strict";
import { type SharedTerminalOptions, shareTerminal } from "./share_terminal.ts";

function share(options: Partial<SharedTerminalOptions> = {}) {
  const said: string[] = [];
  const say = (line: string) => void said.push(line);
  return { said, ...shareTerminal({ say, isTerminal: () => false, ...options }) };
}

const quietly = () => ({ env: {}, interactive: false, signal: AbortSignal.timeout(20_000), log: silentLog });

Deno.test("shareTerminal() shows a plugin's words line by line, also a question that ends no line", async () => {
  const folder = await Deno.makeTempDir();
  const said: string[] = [];
  const say = (line: string) => {
    said.push(line);
    if (line === "Code:") Deno.writeTextFileSync(`${folder}/answered`, "");
  };
  const { pluginRunner } = share({ say, patienceMs: 20 });
  const script = `echo 'Open https://example.test/device' >&2; echo >&2; printf 'Code: ' >&2
    until [ -e '${folder}/answered' ]; do sleep 0.01; done; printf 'thank you' >&2; echo '{}'`;
  const finished = await pluginRunner.run(["sh", "-c", script], quietly());
  equals(said, ["Open https://example.test/device", "Code:", "thank you"]);
  equal(finished.stdout, "{}\n");
  await Deno.remove(folder, { recursive: true });
});

Deno.test("shareTerminal() lets plugins ask where there is a terminal, until the command has it", async () => {
  equal(share().pluginRunner.interactive, false);
  const shared = share({ isTerminal: () => true });
  equal(shared.pluginRunner.interactive, true);
  await shared.handOver(AbortSignal.timeout(1000));
  equal(shared.pluginRunner.interactive, false);
  await shared.pluginRunner.run(["sh", "-c", "echo later >&2"], quietly());
  equals(shared.said, ["later"]);
});

Deno.test("handOver() waits for a plugin that asks right now, and no longer than its signal", async () => {
  const folder = await Deno.makeTempDir();
  const shared = share({ isTerminal: () => true });
  const script = `until [ -e '${folder}/answered' ]; do sleep 0.01; done`;
  const asking = shared.pluginRunner.run(["sh", "-c", script], { ...quietly(), interactive: true });
  const reason = new Error("enough");
  await rejects(shared.handOver(AbortSignal.abort(reason)), reason);
  let handedOver = false;
  const waiting = shared.handOver(AbortSignal.timeout(20_000)).then(() => handedOver = true);
  await new Promise((resolve) => setTimeout(resolve, 30));
  equal(handedOver, false);
  await Deno.writeTextFile(`${folder}/answered`, "");
  await Promise.all([asking, waiting]);
  await Deno.remove(folder, { recursive: true });
});
