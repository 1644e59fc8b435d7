/** The agent as a program: how it begins and how it ends. */
import { deepStrictEqual as equals, match, rejects } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { openPod } from "@/pod/mod.ts";
import { greetAgent, makeSessionKey } from "@/transport/mod.ts";
import type { Duplex } from "@/util/mod.ts";

const AGENT = fileURLToPath(new URL("../../agent.ts", import.meta.url));

/** Starts the agent with these words; what it writes to its standard error is `said`. */
function startAgent(...words: string[]) {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", "--no-prompt", "--allow-net", "--allow-env", AGENT, ...words],
    env: { GREETING: "hello" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const listening = Promise.withResolvers<number>();
  const said = (async () => {
    let text = "";
    for await (const chunk of child.stderr.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      const [, port] = /Waiting for the host on port (\d+)/.exec(text) ?? [];
      if (port !== undefined) listening.resolve(Number(port));
    }
    return text;
  })();
  return { child, said, port: listening.promise };
}

Deno.test("agent --stdio serves one host on its standard input and output, and ends with them", async () => {
  const { privateKey, publicKey } = await makeSessionKey();
  const { child, said } = startAgent("--stdio", `--key=${publicKey}`);
  const carrier = duplexOf(child);
  await greetAgent(carrier, privateKey, { version: "1" });
  const pod = openPod(carrier);
  equals((await pod.environment())["GREETING"], "hello");
  await pod[Symbol.asyncDispose]();
  const { code } = await child.status;
  equals(code, 0, await said);
  await said;
});

Deno.test("agent --grace ends with 0 when no host comes, and without a word of an error", async () => {
  const { publicKey } = await makeSessionKey();
  const { child, said } = startAgent("--port", "0", `--key=${publicKey}`, "--grace", "0.2");
  await Promise.all([child.stdin.close(), child.stdout.cancel()]);
  equals((await child.status).code, 0, await said);
  match(await said, /No host for 0\.2 s/);
});

Deno.test("an agent that is told to end says goodbye first", async () => {
  const { privateKey, publicKey } = await makeSessionKey();
  const { child, said, port } = startAgent("--port", "0", `--key=${publicKey}`);
  const carrier = await Deno.connect({ hostname: "127.0.0.1", port: await port });
  await greetAgent(carrier, privateKey, { version: "1" });
  await using pod = openPod(carrier);
  await pod.environment();
  child.kill("SIGTERM");
  await rejects(pod.closed, /The agent is being ended/);
  await Promise.all([child.stdin.close(), child.stdout.cancel()]);
  equals((await child.status).code, 0, await said);
  await said;
});

Deno.test("an agent with wrong words ends with 2 and says how it is used", async () => {
  for (
    const words of [[], ["--port", "1"], ["--key=x"], ["--key=x", "--port", "1", "--stdio"], ["--key=x", "--port=x"]]
  ) {
    const { child, said } = startAgent(...words);
    await Promise.all([child.stdin.close(), child.stdout.cancel()]);
    equals((await child.status).code, 2, words.join(" "));
    match(await said, /^usage: agent/);
  }
});

/** The standard input and output of a child as a carrier. */
function duplexOf(child: Deno.ChildProcess): Duplex {
  const writer = child.stdin.getWriter();
  const reader = child.stdout.getReader();
  let held: Uint8Array = new Uint8Array();
  return {
    async read(into) {
      if (held.length === 0) {
        const { value, done } = await reader.read();
        if (done) return null;
        held = value;
      }
      const part = held.subarray(0, into.length);
      into.set(part);
      held = held.subarray(part.length);
      return part.length;
    },
    async write(bytes) {
      await writer.write(bytes.slice());
      return bytes.length;
    },
    closeWrite: () => writer.close(),
    close() {
      writer.close().catch(() => {}); // it may be closed
      reader.cancel().catch(() => {});
    },
  };
}
