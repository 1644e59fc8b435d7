import { deepStrictEqual as equals, rejects } from "node:assert/strict";
import { listenForHosts } from "@/agent/mod.ts";
import { greetAgent, LinkLost, makeSessionKey } from "@/transport/mod.ts";
import { abortable, messageOf, readFull, sleep, writeAll } from "@/util/mod.ts";
import { freePort } from "../../tests/testkit/free_port.ts";
import { DialError, type LinkedPod, openLastingPod, openPod, type PodConnection } from "./mod.ts";

/** An agent in this process, and a first pod over it. Disposing it ends the agent, as a pod that goes away does. */
interface OneRun extends AsyncDisposable {
  readonly pod: LinkedPod;
}

async function startRun(greeting: string): Promise<OneRun> {
  const { privateKey, publicKey } = await makeSessionKey();
  const agent = listenForHosts(0, { publicKey, version: "1", environment: { GREETING: greeting } });
  const carrier = await Deno.connect({ hostname: "127.0.0.1", port: agent.port });
  await greetAgent(carrier, privateKey, { version: "1" });
  return { pod: openPod(carrier), [Symbol.asyncDispose]: () => agent[Symbol.asyncDispose]() };
}

/** Waits until nobody listens on a port: the agent closes it when it hears that nobody wants it any more. */
async function untilClosed(port: number): Promise<void> {
  const end = performance.now() + 10_000;
  for (;;) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    } catch (error) {
      if (error instanceof Deno.errors.ConnectionRefused) return;
      throw error;
    }
    if (performance.now() > end) throw new Error(`Port ${port} is still open`);
    await sleep(10);
  }
}

const greetingOf = async (pod: LinkedPod) => (await pod.environment())["GREETING"];

async function next<T>(iterator: AsyncIterator<T>): Promise<T> {
  const { value, done } = await abortable(iterator.next(), AbortSignal.timeout(10_000));
  if (done) throw new Error("There is no next one");
  return value;
}

Deno.test("openLastingPod() asks the next pod when the one before it is lost, and those wait who ask in between", async () => {
  const first = await startRun("first");
  await using second = await startRun("second");
  const gate = Promise.withResolvers<void>();
  const losses: string[] = [];
  await using pod = openLastingPod(first.pod, {
    async next(loss) {
      losses.push(messageOf(loss));
      await gate.promise;
      return second.pod;
    },
  });
  equals(await greetingOf(pod), "first");
  await first[Symbol.asyncDispose]();
  const asked = greetingOf(pod);
  await rejects(
    pod.lookup("localhost", { signal: AbortSignal.timeout(50) }),
    /timed out|Timeout/i,
    "a wait has its end",
  );
  gate.resolve();
  equals(await asked, "second");
  equals(losses, ["The other end closed the tunnel: The agent is being ended"]);
});

Deno.test("openLastingPod() ends what was open, and asks again what was not answered", async () => {
  const first = await startRun("first");
  await using second = await startRun("second");
  await using pod = openLastingPod(first.pod, { next: () => Promise.resolve(second.pod) });
  using server = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = server.addr;
  const connection = await pod.dial({ host: "127.0.0.1", port });
  (await server.accept()).close();
  const held = await pod.dial({ host: "127.0.0.1", port });
  using accepted = await server.accept();
  // A look-up that is under way when the pod is lost: nobody has its answer, so it may be asked again.
  const asked = Promise.all([pod.lookup("localhost"), first[Symbol.asyncDispose]()]);
  await rejects(held.read(new Uint8Array(1)), LinkLost);
  equals((await asked)[0].addresses.length > 0, true);
  connection.close();
  held.close();
  equals(await accepted.read(new Uint8Array(1)), null);
});

Deno.test("openLastingPod() keeps refusals for whoever asked, and asks nobody else", async () => {
  await using run = await startRun("only");
  await using pod = openLastingPod(run.pod, { next: () => Promise.reject(new Error("nobody asked for another")) });
  await rejects(pod.dial({ host: "127.0.0.1", port: 1 }), (error: unknown) => {
    return error instanceof DialError && error.code === "ECONNREFUSED";
  });
  equals(await greetingOf(pod), "only");
});

Deno.test("openLastingPod() binds each listener again, and one iteration goes through all pods", async () => {
  const port = freePort();
  const first = await startRun("first");
  const second = await startRun("second");
  await using third = await startRun("third");
  const following = [second, third];
  let attached = Promise.withResolvers<void>();
  await using pod = openLastingPod(first.pod, {
    next: () => Promise.resolve(following.shift()?.pod ?? first.pod),
    attached: () => Promise.resolve(attached.resolve()),
  });
  await using listener = await pod.listen(port, { loopback: true });
  const connections = listener.accepted()[Symbol.asyncIterator]();
  for (const run of [first, second, third]) {
    const client = await Deno.connect({ hostname: "127.0.0.1", port });
    const { duplex } = await next<PodConnection>(connections);
    await writeAll(client, new Uint8Array([7]));
    equals(await readFull(duplex, new Uint8Array(1)), true);
    client.close();
    duplex.close();
    if (run === third) break;
    await run[Symbol.asyncDispose]();
    await attached.promise; // by then the port is bound again
    attached = Promise.withResolvers();
  }
  await listener[Symbol.asyncDispose]();
  equals((await connections.next()).done, true);
  await untilClosed(port);
});

Deno.test("openLastingPod() is over when there is no next pod, with the reason for everybody", async (t) => {
  const ends: Record<string, (pod: LinkedPod) => Parameters<typeof openLastingPod>[1]> = {
    "none is found": () => ({ next: () => Promise.reject(new Error("gone for good")) }),
    "what is to be done anew cannot be": (pod) => ({
      next: () => Promise.resolve(pod),
      attached: () => Promise.reject(new Error("gone for good")),
    }),
  };
  for (const [name, options] of Object.entries(ends)) {
    await t.step(name, async () => {
      const first = await startRun("first");
      await using second = await startRun("second");
      await using pod = openLastingPod(first.pod, options(second.pod));
      const listener = await pod.listen(freePort(), { loopback: true });
      const accepting = listener.accepted()[Symbol.asyncIterator]().next();
      await Promise.all([
        rejects(pod.closed, /gone for good/),
        rejects(accepting, /gone for good/),
        first[Symbol.asyncDispose](),
      ]);
      await rejects(greetingOf(pod), /gone for good/);
      await second.pod[Symbol.asyncDispose]();
    });
  }
});

Deno.test("openLastingPod() does it all again when the next pod is lost while it is attached to", async () => {
  const first = await startRun("first");
  const second = await startRun("second");
  await using third = await startRun("third");
  const following = [second, third];
  const attachments: string[] = [];
  const done = Promise.withResolvers<void>();
  await using pod = openLastingPod(first.pod, {
    next: () => Promise.resolve(following.shift()?.pod ?? first.pod),
    async attached() {
      attachments.push(await greetingOf(pod) ?? "");
      if (attachments.length > 1) return done.resolve();
      await second[Symbol.asyncDispose]();
      await sleep(20);
      throw new Error("what the loss of this one brings about");
    },
  });
  await first[Symbol.asyncDispose]();
  await done.promise;
  equals(attachments, ["second", "third"]);
  equals(await greetingOf(pod), "third");
});

Deno.test("openLastingPod() disposed of while it waits for the next pod ends that wait", async () => {
  const first = await startRun("first");
  const waiting = Promise.withResolvers<void>();
  const pod = openLastingPod(first.pod, {
    next: (_, signal) => {
      waiting.resolve();
      return abortable(new Promise<never>(() => {}), signal);
    },
  });
  await first[Symbol.asyncDispose]();
  await waiting.promise;
  const asked = rejects(pod.lookup("localhost"), /The pod was closed/);
  await pod[Symbol.asyncDispose]();
  await asked;
  await pod.closed;
});
