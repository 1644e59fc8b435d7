import { deepStrictEqual as equals, ok, rejects } from "node:assert/strict";
import { createSocket } from "node:dgram";
import { listenForHosts, openFlow } from "@/agent/mod.ts";
import { greetAgent, HandshakeError, makeSessionKey, openLink, openMux } from "@/transport/mod.ts";
import { duplexPair, readFull, splice, writeAll } from "@/util/mod.ts";
import { SftpClient } from "@/volumes/mod.ts";
import { freePort } from "../../tests/testkit/free_port.ts";
import { DialError, type Introduction, type LinkedPod, LookupError, openPod } from "./mod.ts";

/** Runs `body` with a pod whose agent is the real one, in this process, over TCP on loopback. */
function check(name: string, body: (pod: LinkedPod) => Promise<void>): void {
  Deno.test(`Pod ${name}`, async () => {
    const { privateKey, publicKey } = await makeSessionKey();
    const environment = { GREETING: "hello\nworld", EMPTY: "" };
    await using agent = listenForHosts(0, { publicKey, version: "1", environment });
    const carrier = await Deno.connect({ hostname: "127.0.0.1", port: agent.port });
    await greetAgent(carrier, privateKey, { version: "1" });
    await using pod = openPod(carrier);
    await body(pod);
  });
}

/** A server that gives back what it is sent. */
function startEcho(): { port: number } & AsyncDisposable {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    const open: Promise<unknown>[] = [];
    for await (const connection of listener) {
      const buffer = new Uint8Array(65536);
      open.push((async () => {
        for (let count; (count = await connection.read(buffer)) !== null;) {
          await writeAll(connection, buffer.subarray(0, count));
        }
        connection.close();
      })());
    }
    await Promise.all(open);
  })();
  return {
    port: listener.addr.port,
    async [Symbol.asyncDispose]() {
      listener.close();
      await serving;
    },
  };
}

check("dial() connects from the agent and carries bytes and both ends", async (pod) => {
  await using echo = startEcho();
  const connection = await pod.dial({ host: "127.0.0.1", port: echo.port });
  const sent = new Uint8Array(3_000_000).map((_, index) => index * 7 >> 2);
  const received = new Uint8Array(sent.length);
  await Promise.all([writeAll(connection, sent), readFull(connection, received)]);
  equals(received, sent);
  await connection.closeWrite();
  equals(await connection.read(new Uint8Array(1)), null);
});

check("dial() takes names that only the agent's resolver knows", async (pod) => {
  await using echo = startEcho();
  const connection = await pod.dial({ host: "localhost", port: echo.port });
  await connection.closeWrite();
  equals(await connection.read(new Uint8Array(1)), null);
});

check("dial() rejects with the agent's errno, or getaddrinfo's code", async (pod) => {
  const isRefused = (error: unknown) => error instanceof DialError && error.code === "ECONNREFUSED";
  await rejects(pod.dial({ host: "127.0.0.1", port: 1 }), isRefused);
  const isUnreachable = (error: unknown) => error instanceof DialError && error.code === "ENETUNREACH";
  await rejects(pod.dial({ host: "255.255.255.255", port: 80 }), isUnreachable);
  await rejects(pod.dial({ host: "no..name", port: 80 }), LookupError);
});

check("dial() gives up when its signal says so", async (pod) => {
  await rejects(pod.dial({ host: "127.0.0.1", port: 1 }, { signal: AbortSignal.abort(new Error("stop")) }), /stop/);
});

check("lookup() resolves as the agent's libc does", async (pod) => {
  equals((await pod.lookup("localhost", { family: 4 })).addresses, ["127.0.0.1"]);
  equals((await pod.lookup("192.0.2.7")).addresses, ["192.0.2.7"]);
  const isNoName = (error: unknown) => error instanceof LookupError && error.code === "EAI_NONAME";
  await rejects(pod.lookup("bad..name"), isNoName);
});

check("resolve() gives records, and the errors of names", async (pod) => {
  const localhost = await pod.resolve("localhost", 1);
  equals(localhost.records, [{ name: "localhost", ttl: 0, data: { type: "A", address: "127.0.0.1" } }]);
  await rejects(pod.resolve("bad..name", 1), (error: unknown) => {
    return error instanceof LookupError && error.code === "EAI_NONAME";
  });
});

check("datagrams() carries datagrams both ways, each for itself", async (pod) => {
  const peer = createSocket("udp4");
  peer.on("message", (payload, from) => peer.send(payload, from.port, from.address));
  await new Promise<void>((resolve) => peer.bind(0, "127.0.0.1", resolve));
  const { port } = peer.address();
  const sent = [0, 1, 1400, 20_000].map((length) => crypto.getRandomValues(new Uint8Array(length)));
  {
    await using flow = await pod.datagrams({ host: "localhost", port });
    const received = flow.received()[Symbol.asyncIterator]();
    for (const payload of sent) {
      await flow.send(payload);
      equals((await received.next()).value, payload);
    }
  }
  await new Promise<void>((resolve) => peer.close(resolve));
  const isNoName = (error: unknown) => error instanceof LookupError && error.code === "EAI_NONAME";
  await rejects(pod.datagrams({ host: "no..name", port }), isNoName);
});

Deno.test("a flow in which nothing moves is over after a while", async () => {
  const [a, b] = duplexPair();
  const [host, agent] = [openLink({ graceMs: 0 }), openLink({ graceMs: 0 })];
  void host.attach(0, a);
  void agent.attach(0, b);
  const serving = Promise.withResolvers<void>();
  await using _agent = openMux(agent, {
    role: "agent",
    onOpen: async (incoming) => {
      const flow = await openFlow("127.0.0.1", 9, 20);
      await flow.serve(incoming.accept());
      serving.resolve();
    },
  });
  await using mux = openMux(host, { role: "host", onOpen: () => {} });
  const stream = await mux.open(new Uint8Array());
  await rejects(stream.read(new Uint8Array(1)));
  await serving.promise;
});

check("environment() gives every value as it is", async (pod) => {
  equals(await pod.environment(), { GREETING: "hello\nworld", EMPTY: "" });
});

check("listen() hands connections over until it is disposed", async (pod) => {
  const port = freePort();
  {
    await using listener = await pod.listen(port);
    const accepting = (async () => {
      for await (const { duplex, from } of listener.accepted()) {
        equals(from.host, "127.0.0.1");
        await writeAll(duplex, new TextEncoder().encode("welcome"));
        await duplex.closeWrite();
        equals(await duplex.read(new Uint8Array(1)), null);
        return;
      }
    })();
    const caller = await Deno.connect({ hostname: "127.0.0.1", port });
    const words = new Uint8Array(7);
    ok(await readFull(caller, words));
    equals(new TextDecoder().decode(words), "welcome");
    await caller.closeWrite();
    equals(await caller.read(new Uint8Array(1)), null);
    await accepting;
    caller.close();
  }
  while (await isListening(port)) await new Promise((resolve) => setTimeout(resolve, 1));
});

/** Connects fifty times, and resets each connection at once. */
const RESETTING_CALLERS = `
import socket, struct, sys
for _ in range(50):
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
`;

check("listen() goes on after callers that reset their connections at once", async (pod) => {
  const port = freePort();
  await using listener = await pod.listen(port);
  // While this process stands still, so that nobody has accepted them when they are reset.
  const { success } = new Deno.Command("python3", { args: ["-c", RESETTING_CALLERS, String(port)] }).outputSync();
  ok(success);
  const last = await Deno.connect({ hostname: "127.0.0.1", port });
  const { localAddr } = last;
  for await (const { duplex, from } of listener.accepted()) {
    duplex.close();
    if (from.port === localAddr.port) break;
  }
  last.close();
});

check("listen() rejects with the errno of the bind", async (pod) => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr as Deno.NetAddr;
  await rejects(pod.listen(port), (error: unknown) => error instanceof DialError && error.code === "EADDRINUSE");
});

Deno.test("sessions() tells who introduced themselves to the same agent, with their ports, for as long as they are there", async () => {
  const { privateKey, publicKey } = await makeSessionKey();
  await using agent = listenForHosts(0, { publicKey, version: "1", environment: {} });
  const join = async (introduction?: Introduction) => {
    const carrier = await Deno.connect({ hostname: "127.0.0.1", port: agent.port });
    await greetAgent(carrier, privateKey, { version: "1" });
    return openPod(carrier, introduction && { introduction });
  };
  const first = await join({ session: "1", by: "me@here", since: "2026-01-01T00:00:00Z" });
  await using second = await join({ session: "2", by: "you@there", since: "2026-01-02T00:00:00Z" });
  await using third = await join({ session: "3", by: "not\u001b[31mshown", since: "2026-01-03T00:00:00Z" });
  await using nobody = await join();
  const listener = await first.listen(freePort());
  const other = await first.listen(freePort());
  const { port } = listener;
  const ports = [port, other.port].sort((a, b) => a - b);
  await rejects(third.listen(port, { loopback: true }), (error) => error instanceof DialError);
  equals(await nobody.sessions(), [
    { session: "1", by: "me@here", since: "2026-01-01T00:00:00Z", ports },
    { session: "2", by: "you@there", since: "2026-01-02T00:00:00Z", ports: [] },
  ]);
  await listener[Symbol.asyncDispose]();
  const untilIs = async (wanted: readonly (readonly number[])[]) => {
    const end = performance.now() + 10_000;
    const seen = async () => (await second.sessions()).map(({ ports }) => ports);
    while (String(await seen()) !== String(wanted) && performance.now() < end) {
      await new Promise((go) => setTimeout(go, 5));
    }
    equals(await seen(), wanted);
  };
  await untilIs([[other.port], []]);
  await first[Symbol.asyncDispose]();
  await untilIs([[]]);
});

check("closed rejects when the agent is gone, and so does what waits", async (pod) => {
  await using echo = startEcho();
  const connection = await pod.dial({ host: "127.0.0.1", port: echo.port });
  await pod[Symbol.asyncDispose]();
  await rejects(connection.read(new Uint8Array(1)));
  await rejects(pod.lookup("localhost"), /tunnel was closed/);
  await pod.closed;
});

Deno.test("the agent lets in only who holds the session's key", async () => {
  const [{ publicKey }, stranger] = [await makeSessionKey(), await makeSessionKey()];
  await using agent = listenForHosts(0, { publicKey, version: "1", environment: {} });
  const carrier = await Deno.connect({ hostname: "127.0.0.1", port: agent.port });
  await rejects(greetAgent(carrier, stranger.privateKey, { version: "1" }), HandshakeError);
});

Deno.test("two connections of the pod can be joined to each other", async () => {
  const { privateKey, publicKey } = await makeSessionKey();
  await using agent = listenForHosts(0, { publicKey, version: "1", environment: {} });
  const carrier = await Deno.connect({ hostname: "127.0.0.1", port: agent.port });
  await greetAgent(carrier, privateKey, { version: "1" });
  await using pod = openPod(carrier);
  await using echo = startEcho();
  const port = freePort();
  await using listener = await pod.listen(port);
  const joining = (async () => {
    for await (const { duplex } of listener.accepted()) {
      return await splice(duplex, await pod.dial({ host: "127.0.0.1", port: echo.port }));
    }
    throw new Error("Nobody came");
  })();
  const caller = await Deno.connect({ hostname: "127.0.0.1", port });
  const sent = new Uint8Array(1_000_000).fill(7);
  const received = new Uint8Array(sent.length);
  await Promise.all([writeAll(caller, sent), readFull(caller, received)]);
  equals(received, sent);
  await caller.closeWrite();
  equals(await caller.read(new Uint8Array(1)), null);
  equals(await joining, undefined);
  caller.close();
});

async function isListening(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  } catch {
    return false;
  }
}

check("files() serves the volumes that are there by SFTP, and several connections at once", async (pod) => {
  const directory = await Deno.realPath(await Deno.makeTempDir());
  try {
    await Deno.writeTextFile(`${directory}/f`, "hello");
    const files = await Promise.all([1, 2].map(() => pod.files([directory, "/none/at/all"])));
    for (const { mounts, duplex } of files) {
      equals(mounts, [directory]);
      await using client = await SftpClient.open(duplex);
      equals((await client.list(directory)).map(({ name, attributes }) => [name, attributes.size]), [["f", 5]]);
    }
    await rejects(pod.files(["relative"]), DialError);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("an agent that answers without end, with mount points that nobody asked for, or with names that none has, is not believed", async () => {
  const [a, b] = duplexPair();
  const agentLink = openLink({ graceMs: 0 });
  void agentLink.attach(0, b);
  let sent = 0;
  const ended = Promise.withResolvers<void>();
  await using _agent = openMux(agentLink, {
    role: "agent",
    onOpen: async (incoming) => {
      const { ask } = JSON.parse(new TextDecoder().decode(incoming.request)) as { ask: string };
      const reply = ask === "files" ? new TextEncoder().encode('{"mounts":["/..","/asked","/home"]}') : undefined;
      const stream = incoming.accept(reply);
      if (ask === "files") return;
      if (ask === "environment") {
        const variables = { "PATH=/theirs": "", "": "x", "A\0": "x", B: "\0", GOOD: "a=b" };
        await writeAll(stream, new TextEncoder().encode(JSON.stringify(variables)));
        return await stream.closeWrite();
      }
      const part = new Uint8Array(65536);
      try {
        while (true) sent += await stream.write(part);
      } catch {
        ended.resolve();
      }
    },
  });
  await using pod = openPod(a);
  const { mounts, duplex } = await pod.files(["/asked/", "/other"]);
  duplex.close();
  equals(mounts, ["/asked"]);
  equals(await pod.environment(), { GOOD: "a=b" });
  await rejects(
    pod.sessions(),
    (error) => error instanceof DialError && /longer than 4194304 bytes/.test(error.message),
  );
  await ended.promise;
  ok(sent < 64 * 1024 * 1024, `${sent} bytes were sent`);
});
