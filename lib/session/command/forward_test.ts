import { equal as is, rejects, throws } from "node:assert/strict";
import { connect } from "node:net";
import { silentLog } from "@/log/mod.ts";
import type { Pod } from "@/pod/mod.ts";
import { duplexPair, UserError, writeAll } from "@/util/mod.ts";
import { freePort } from "../../../tests/testkit/free_port.ts";
import { listenToPod } from "./forward.ts";

const signal = new AbortController().signal;

/** A pod of which the test is the other end. */
function answering(words: string): Pod {
  const dial = async () => {
    const [near, far] = duplexPair();
    await writeAll(far, new TextEncoder().encode(words));
    await far.closeWrite();
    return near;
  };
  return { dial } as unknown as Pod;
}

Deno.test("listenToPod() serves who connected before there was a pod, and others after one that gave up", async () => {
  const port = freePort();
  using toPod = listenToPod([port]);
  const gaveUp = connect(port, "127.0.0.1");
  await new Promise((resolve) => gaveUp.once("connect", resolve));
  const closed = new Promise((resolve) => gaveUp.once("close", resolve));
  gaveUp.resetAndDestroy();
  await closed;
  using early = await Deno.connect({ hostname: "127.0.0.1", port });
  toPod.forward(answering("hello"), { log: silentLog, signal });
  using late = await Deno.connect({ hostname: "127.0.0.1", port });
  for (const conn of [early, late]) {
    is(await new Response(conn.readable).text(), "hello");
  }
});

Deno.test("listenToPod() refuses a port that is taken, and keeps none of the others", async () => {
  const free = freePort();
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr;
  throws(() => listenToPod([free, port]), (error: unknown) => {
    return error instanceof UserError && error.message.startsWith(`Cannot forward port ${port} to the pod: `);
  });
  await rejects(async () => await Deno.connect({ hostname: "127.0.0.1", port: free }), Deno.errors.ConnectionRefused);
});
