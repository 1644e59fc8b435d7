import { deepStrictEqual as equals, ok, strictEqual as equal } from "node:assert/strict";
import { openGate } from "./gate.ts";

Deno.test("openGate() hands a connection to whoever can name its source, in either order", async (t) => {
  using gate = openGate();
  for (const [hostname, port] of [["127.0.0.1", gate.port4], ["::1", gate.port6]] as const) {
    if (port === 0) continue;
    await t.step(`claim after connection on ${hostname}`, async () => {
      using conn = await Deno.connect({ hostname, port });
      await conn.write(new Uint8Array([1]));
      await check(await gate.claim(sourceOf(conn)), 1);
    });
    await t.step(`claim before connection on ${hostname}`, async () => {
      using conn = await Deno.connect({ hostname, port });
      const claimed = gate.claim(sourceOf(conn)); // the listener has had no turn yet: nothing is held
      await conn.write(new Uint8Array([2]));
      await check(await claimed, 2);
    });
  }
});

Deno.test("openGate() closes a connection that nobody claims, and ends a claim that nothing comes for", async () => {
  using gate = openGate({ claimMs: 50 });
  using stranger = await Deno.connect({ hostname: "127.0.0.1", port: gate.port4 });
  await stranger.write(new TextEncoder().encode("GET / HTTP/1.0\r\n\r\n"));
  const end = await stranger.read(new Uint8Array(1)).catch((error: unknown) => error);
  ok(end === null || end instanceof Deno.errors.ConnectionReset);
  equal(await gate.claim(sourceOf(stranger)), undefined);
});

Deno.test("openGate() gives one connection once", async () => {
  using gate = openGate({ claimMs: 50 });
  using conn = await Deno.connect({ hostname: "127.0.0.1", port: gate.port4 });
  const claims = await Promise.all([gate.claim(sourceOf(conn)), gate.claim(sourceOf(conn))]);
  equals(claims.map((claim) => claim !== undefined).sort(), [false, true]);
  claims.forEach((claim) => claim?.close());
});

Deno.test("openGate() bounds how many connections wait, the oldest go first", async () => {
  using gate = openGate({ mostUnclaimed: 2 });
  const conns: Deno.TcpConn[] = [];
  for (let i = 0; i < 3; i++) conns.push(await Deno.connect({ hostname: "127.0.0.1", port: gate.port4 }));
  const [first, second, third] = conns;
  ok(first && second && third);
  equal(await first.read(new Uint8Array(1)), null);
  for (const conn of [second, third]) (await gate.claim(sourceOf(conn)))?.close();
  conns.forEach((conn) => conn.close());
});

function sourceOf(conn: Deno.TcpConn) {
  return { address: conn.localAddr.hostname, port: conn.localAddr.port };
}

async function check(duplex: Awaited<ReturnType<ReturnType<typeof openGate>["claim"]>>, want: number): Promise<void> {
  ok(duplex);
  const buffer = new Uint8Array(1);
  equal(await duplex.read(buffer), 1);
  equal(buffer[0], want);
  duplex.close();
  duplex.close();
}
