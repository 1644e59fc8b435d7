import { deepStrictEqual as equals, ok } from "node:assert/strict";
import { openWorld, runWatched, serveEcho } from "./harness.ts";

const WAYS = ["poll", "select", "epoll", "epoll-edge-before", "epoll-edge-after", "again", "epoll-edge-before-again"];

/** What a program sees of a connect that is under way, whatever comes of it; the kernel's own answers. */
const UNDER_WAY = ["connect EINPROGRESS", "quiet 1", "error 0", "peer ENOTCONN", "again EALREADY", "write EAGAIN"];

Deno.test("A non-blocking connect is under way until the pod has an answer, and has the kernel's answers", async (t) => {
  await using echo = serveEcho();
  let release = () => {};
  await using world = await openWorld({
    services: {
      "10.96.7.7 7": echo.port,
      "2001:db8::7 7": echo.port,
      "10.96.7.7 1": "ECONNREFUSED",
      "10.96.7.7 2": "EHOSTUNREACH",
      "10.96.7.7 3": "ETIMEDOUT",
    },
    names: {},
    held: () => new Promise<void>((resolve) => release = resolve),
  });
  const program = await world.compile("async.c");
  // The pod answers when the program has seen everything that there is to see before.
  const watch = (how: string, address: string, port: number): Promise<string[]> =>
    runWatched([program, how, address, `${port}`], world.capture.environment({}), (text) => {
      if (/^write/m.test(text)) release();
    });
  for (const how of WAYS) {
    const again = how.endsWith("again");
    await t.step(`${how}: connected`, async () => {
      const outcome = again ? ["outcome 0", "then EISCONN"] : ["outcome 0", "peer 0"];
      equals(await watch(how, "10.96.7.7", 7), [...UNDER_WAY, ...outcome, "peer 10.96.7.7 7", "echo hello"]);
    });
    for (const [port, code] of [[1, "ECONNREFUSED"], [2, "EHOSTUNREACH"], [3, "ETIMEDOUT"]] as const) {
      await t.step(`${how}: ${code}`, async () => {
        equals(await watch(how, "10.96.7.7", port), [
          ...UNDER_WAY,
          `outcome ${code}`,
          ...(again ? [] : ["peer ENOTCONN"]),
        ]);
      });
    }
  }
  await t.step("over IPv6", async () => {
    const want = [...UNDER_WAY, "outcome 0", "peer 0", "peer 2001:db8::7 7", "echo hello"];
    equals(await watch("epoll", "2001:db8::7", 7), want);
  });
  await t.step("v4-mapped", async () => {
    const want = [...UNDER_WAY, "outcome 0", "peer 0", "peer ::ffff:10.96.7.7 7", "echo hello"];
    equals(await watch("epoll", "::ffff:10.96.7.7", 7), want);
  });
});

Deno.test("A non-blocking connect does not wait for a session that is busy", async () => {
  await using echo = serveEcho();
  await using world = await openWorld({ services: { "10.96.7.7 7": echo.port }, names: {} });
  const program = await world.compile("busy.c");
  let freeAt = 0;
  const lines = await runWatched([program, "10.96.7.7", "7"], world.capture.environment({}), (text) => {
    if (!text.endsWith("busy\n")) return;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2_000); // this process is the session
    freeAt = Date.now();
  });
  const [first, , second = "", last] = lines;
  equals([first, second.replace(/ \d+$/, ""), last], ["first hello", "under way", "second hello"]);
  ok(Number(second.split(" ").at(-1)) < freeAt, `the call was over at ${second}, the session was busy until ${freeAt}`);
});
