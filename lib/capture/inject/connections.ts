import type { ErrnoName } from "@/pod/mod.ts";
import type { Connection, Endpoint } from "./protocol.ts";

/** How many failures are kept for programs that ask what became of a connect; each asks within one turn of its loop. */
const MOST_FAILURES = 4096;

/** What programs can ask about their connections, by the end that is theirs. */
export interface Connections {
  /** What is known of the connection from an endpoint. */
  about(from: Endpoint): Connection | undefined;
  /** Keeps a connection that begins; disposing it forgets it, unless it failed. */
  begin(from: Endpoint, to: Endpoint): Disposable & { connected(): void; failed(code: ErrnoName): void };
}

/** Makes an empty register. */
export function trackConnections(): Connections {
  const live = new Map<string, Connection>();
  const failures = new Map<string, Connection>();
  const keyOf = ({ address, port }: Endpoint) => `${address} ${port}`;
  return {
    about: (from) => live.get(keyOf(from)) ?? failures.get(keyOf(from)),
    begin(from, to) {
      const key = keyOf(from);
      let mine: Connection = { state: "pending", to };
      const forget = () => {
        if (live.get(key) === mine) live.delete(key); // else the kernel has given the port to somebody else since
      };
      failures.delete(key);
      live.set(key, mine);
      return {
        connected() {
          mine = { state: "connected", to };
          live.set(key, mine);
        },
        failed(code) {
          forget();
          failures.set(key, { state: "failed", code });
          const [oldest] = failures.keys();
          if (failures.size > MOST_FAILURES && oldest !== undefined) failures.delete(oldest);
        },
        [Symbol.dispose]: forget,
      };
    },
  };
}
