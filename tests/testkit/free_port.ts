/** @returns a TCP port of this machine's loopback that nobody had a moment ago; the kernel may give it to others. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
