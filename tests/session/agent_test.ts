/** The agent as a program: how it begins and how it ends. */
import { deepStrictEqual as equals, match, rejects } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { openPod } from "@/pod/mod.ts";
import { greetAgent, makeSessionKey, nameNewLink, openLink } from "@/transport/mod.ts";
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

Deno.test("agent --stdio joins its standard input and output to the agent, whose link outlives it", async () => {
  const { privateKey, publicKey } = await makeSessionKey();
  const agent = startAgent("--port", "0", `--key=${publicKey}`);
  const port = String(await agent.port);
  const name = nameNewLink();
  const first = startAgent("--stdio", "--port", port);
  const carrier = duplexOf(first.child);
  await greetAgent(carrier, privateKey, { version: "1", name });
  const link = openLink();
  void link.attach(0, carrier);
  {
    await using pod = openPod(link);
    equals((await pod.environment())["GREETING"], "hello");
    first.child.kill("SIGKILL");
    await first.child.status;

    const second = startAgent("--stdio", "--port", port);
    const another = duplexOf(second.child);
    await greetAgent(another, privateKey, { version: "1", name: { ...name, fresh: false } });
    void link.attach(0, another);
    equals((await pod.environment())["GREETING"], "hello");
    await pod[Symbol.asyncDispose]();
    equals((await second.child.status).code, 0, await second.said);
  }
  await first.said;
  agent.child.kill("SIGTERM");
  await Promise.all([agent.child.stdin.close(), agent.child.stdout.cancel()]);
  equals((await agent.child.status).code, 0, await agent.said);
});

Deno.test("agent --stdio ends with its input, with a signal, and with a sentence where no agent listens", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const port = String(listener.addr.port);
  for (const end of ["input", "signal"] as const) {
    const { child, said } = startAgent("--stdio", "--port", port);
    using conn = await listener.accept(); // as an agent that never says anything
    if (end === "input") await child.stdin.close();
    else child.kill("SIGTERM");
    equals(await conn.read(new Uint8Array(1)), null);
    if (end === "input") conn.close();
    await child.stdout.cancel();
    equals((await child.status).code, 0, await said);
    if (end === "signal") await child.stdin.close();
  }
  listener.close();
  const { child, said } = startAgent("--stdio", "--port", port);
  await Promise.all([child.stdin.close(), child.stdout.cancel()]);
  equals((await child.status).code, 1);
  match(await said, /^Cannot join standard input and output to the agent on port \d+: /);
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
    const words of [[], ["--port", "1"], ["--key=x"], ["--key=x", "--port", "1", "--stdio"], ["--key=x", "--port=x"], [
      "--stdio",
    ]]
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
