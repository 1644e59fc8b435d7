import { deepStrictEqual as equals } from "node:assert/strict";
import { acceptAll } from "./accept.ts";

Deno.test("acceptAll() goes on after what cannot be accepted, and ends with the listener", async () => {
  const outcomes: (number | Error)[] = [
    1,
    new Deno.errors.NotConnected("Transport endpoint is not connected"),
    2,
    new Error("Too many open files"),
    3,
    new Deno.errors.BadResource("Listener has been closed"),
    4,
  ];
  const served: number[] = [];
  const accept = () => {
    const next = outcomes.shift();
    return typeof next === "number" ? Promise.resolve(next) : Promise.reject(next);
  };
  await acceptAll({ accept }, (conn) => served.push(conn));
  equals(served, [1, 2, 3]);
});

Deno.test("acceptAll() ends when a real listener is closed", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const loop = acceptAll(listener, (conn) => conn.close());
  const conn = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  await conn.read(new Uint8Array(1));
  conn.close();
  listener.close();
  await loop;
});
