import { deepStrictEqual as equals } from "node:assert/strict";
import type { InjectOptions } from "@/capture/mod.ts";
import { openWorld, serveEcho } from "./harness.ts";

const WANT = `
dup, then close: one
dup2, then close: two
10.96.7.7: passed to another process
fork: inherited: child
fork: its own: child
fork: parent: parent
0, 1 and 2 closed: connected as 0, next is 1
no descriptor left: EMFILE
SO_SNDTIMEO: EINPROGRESS
SO_SNDTIMEO: ECONNREFUSED
SO_SNDTIMEO: 0
SO_SNDTIMEO, the refused descriptor again: hello
SO_SNDTIMEO, again: EISCONN
sendto, MSG_FASTOPEN: 5 early
sendmsg, MSG_FASTOPEN, refused: ECONNREFUSED
sendmsg, MSG_FASTOPEN: 5 early
sendmsg, MSG_FASTOPEN, again: EISCONN
sendto, MSG_FASTOPEN, non-blocking: EINPROGRESS
TCP_FASTOPEN_CONNECT: hello
interrupted by a signal: EINTR
connected after it: 0
a short address: EISCONN
AF_UNSPEC: 0
and connected anew: 0
and it works: hello
an IPv6 address for an IPv4 socket: EAFNOSUPPORT
no descriptor: EBADF
no socket: ENOTSOCK
a datagram socket: 0
bound to an address of the host: hello
after close_range: hello
getpeername, little room: length 16, errno kept
getpeername: 10.96.7.7, length 16
getpeername of nothing: EBADF
`;

/** A machine on which a plug would be too large. */
const LARGE = { rmem: "4096 6291456 6291456", wmem: "4096 16384 4194304", release: "6.1.0" };

Deno.test("On a machine with very large buffers a non-blocking connect waits, and nothing else is different", async () => {
  const want = WANT.replace("non-blocking: EINPROGRESS", "non-blocking: 0");
  equals(await run({ tcpSettings: LARGE }), want.trim().split("\n"));
});

Deno.test("Descriptors are the program's own: dup, close, pass, inherit, bind, interrupt, connect anew", async () => {
  equals(await run(), WANT.trim().split("\n"));
});

async function run(options: Partial<InjectOptions> = {}): Promise<string[]> {
  await using echo = serveEcho();
  await using world = await openWorld({
    services: { "10.96.7.7 7": echo.port, "10.96.7.7 9": "silence" },
    names: {},
  }, options);
  const own = Deno.networkInterfaces().find(({ family, name }) => family === "IPv4" && name !== "lo")?.address;
  const program = await world.compile("descriptors.c");
  const { stdout, stderr } = await world.run([program, "10.96.7.7", "7", "1", "9", own ?? "127.0.0.1"]);
  return (stdout + stderr).trim().split("\n");
}
