import { deepStrictEqual as equals } from "node:assert/strict";
import { openWorld, serveEcho } from "./harness.ts";

const WANT = `
constructor: hello
function of a dlopened library: hello
thread with 32 KiB of stack: hello
signal handler: hello
after a longjmp out of a lookup: hello
IPv6: from ::1 to 2001:db8::7
IPv6 alone: from ::1 to 2001:db8::7
v4-mapped: from ::ffff:127.0.0.1 to ::ffff:10.96.7.7
v4-mapped on IPv6 alone: ENETUNREACH
IPv6, bound: from ::1 to 2001:db8::7
IPv6, bound to a v4-mapped address: from ::ffff:127.0.0.1 to ::ffff:10.96.7.7
fork handler, before: hello
fork handler, child: hello
fork handler, parent: hello
`;

Deno.test("Connects and lookups work from the odd places of a process", async (t) => {
  await using echo = serveEcho();
  await using world = await openWorld({
    services: { "10.96.7.7 7": echo.port, "2001:db8::7 7": echo.port },
    names: { echo: ["10.96.7.7"], silent: "silence" },
  });
  const library = await world.compile("places.c", ["-DLIBRARY", "-shared", "-fPIC", "-Wno-unused-function"]);
  const loaded = `${library}.so`;
  await Deno.rename(library, loaded);
  const program = await world.compile("places.c", ["-ldl"]);
  await t.step("constructors, handlers, threads, longjmp", async () => {
    const { stdout, stderr } = await world.run([program, loaded]);
    // Without IPv6 on the host, targets of IPv6 are reached over IPv4, by sockets that can.
    const comparable = (text: string) => sorted(text).filter((line) => hasIpv6() || !line.startsWith("IPv6"));
    equals([comparable(stdout), stderr], [comparable(WANT), ""]);
  });
  await t.step("a library that is preloaded before the shim, whose constructor connects", async () => {
    const { stdout, stderr } = await world.run(["true"], { env: { LD_PRELOAD: loaded, RESOLVE: "1" } });
    equals([stdout, stderr], ["constructor: hello\n", ""]);
  });
});

/** Parent and child write at the same time. */
function sorted(text: string): string[] {
  return text.trim().split("\n").sort();
}

function hasIpv6(): boolean {
  return Deno.networkInterfaces().some(({ address }) => address === "::1");
}
