/** Of the system's headers; the same on Linux and macOS. */
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
/** Where the search for a descriptor ends. */
const MAX_DESCRIPTOR = 4096;
/** Room for any socket address. */
const ADDRESS_BYTES = 128;

const SYMBOLS = {
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/**
 * Lets small writes of a connection leave at once (TCP_NODELAY), where the runtime has no call for it: a `TlsConn` of
 * `Deno.connectTls`. Without it the kernel holds the second half of a handshake with a client certificate back until
 * the peer's delayed acknowledgement comes: 45 ms instead of 2 ms for each connection (measured), and small messages
 * later in its life alike.
 *
 * The descriptor is found by the connection's two ports. Where foreign functions are not allowed or not there, nothing
 * happens and the connection is as it was.
 *
 * @returns whether it is set
 */
export async function setNoDelay(conn: Deno.Conn<Deno.NetAddr>): Promise<boolean> {
  const library = { linux: "libc.so.6", darwin: "libSystem.dylib" }[Deno.build.os as string];
  const { state } = await Deno.permissions.query({ name: "ffi" });
  if (library === undefined || state !== "granted") return false; // asking would stop at a prompt
  try {
    const { symbols, close } = openLibrary(library);
    try {
      const on = new Uint8Array(new Uint32Array([1]).buffer);
      const descriptor = findDescriptor(symbols, conn.localAddr.port, conn.remoteAddr.port);
      return descriptor !== undefined && symbols.setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, on, on.length) === 0;
    } finally {
      close();
    }
  } catch {
    return false;
  }
}

function openLibrary(path: string) {
  const library = Deno.dlopen(path, SYMBOLS);
  return { symbols: library.symbols, close: () => library.close() };
}

function findDescriptor(
  symbols: ReturnType<typeof openLibrary>["symbols"],
  localPort: number,
  remotePort: number,
): number | undefined {
  const address = new Uint8Array(ADDRESS_BYTES);
  const portOf = (name: "getsockname" | "getpeername", descriptor: number) => {
    const size = new Uint8Array(new Uint32Array([ADDRESS_BYTES]).buffer);
    // Both families have the port at the same place, in network order.
    return symbols[name](descriptor, address, size) === 0 ? (address[2] ?? 0) << 8 | (address[3] ?? 0) : undefined;
  };
  for (let descriptor = 0; descriptor < MAX_DESCRIPTOR; descriptor++) {
    if (portOf("getsockname", descriptor) !== localPort) continue;
    if (portOf("getpeername", descriptor) === remotePort) return descriptor;
  }
  return undefined;
}
