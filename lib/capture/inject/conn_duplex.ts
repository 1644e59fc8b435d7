import type { Duplex } from "@/util/mod.ts";

/** A connection of Deno as a duplex: its own `close` throws when it is called twice. */
export function connDuplex(conn: Deno.Conn): Duplex {
  let open = true;
  return {
    read: (into) => conn.read(into),
    write: (bytes) => conn.write(bytes),
    closeWrite: () => conn.closeWrite(),
    close() {
      if (open) conn.close();
      open = false;
    },
  };
}
