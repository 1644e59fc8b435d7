/**
 * The network namespaces of fake pods.
 *
 * Theory of operation. The agent in a fake pod is the real one, in the test's own process, so its sockets would be the
 * machine's: an exposed port would meet the local server that it stands for, and port 80 would need root. Therefore code
 * that runs "in a pod" listens and connects in a network of its own: `Deno.listen` and `Deno.connect` are replaced while
 * a fake cluster is there, and pass every call on as it is unless the calling code descends (by AsyncLocalStorage) from
 * {@linkcode PodNetwork.run}. A port of the pod is then any free port of the machine's loopback, and the map says which.
 *
 * What stays the machine's own: name resolution.
 *
 * @module
 */
import { AsyncLocalStorage } from "node:async_hooks";

/** One pod's network. */
export interface PodNetwork {
  /** Runs code in it, with all that the code starts. */
  run<T>(body: () => T): T;
  /** Connects to a port of the pod's loopback, from outside of it as a node does. */
  dial(port: number): Promise<Deno.TcpConn>;
  /** What the node says when that fails. */
  refusalOf(port: number): string;
  /** The port of the machine's loopback that stands for a port of the pod, while somebody listens on it. */
  portOf(port: number): number | undefined;
}

/** Where addresses of the cluster lead: `10.96.0.10:80` to a port of the machine's loopback. */
export type Routes = ReadonlyMap<string, number>;

interface Inside {
  listen(options: Deno.TcpListenOptions): Deno.TcpListener;
  connect(options: Deno.ConnectOptions): Promise<Deno.TcpConn>;
}

const current = new AsyncLocalStorage<Inside>();
const machine = { listen: Deno.listen, connect: Deno.connect };
let users = 0;

/** Puts the replacements in place until it is disposed of. */
export function installPodNetworks(): Disposable {
  if (users++ === 0) {
    const listen = (options: Deno.TcpListenOptions) => {
      return (current.getStore()?.listen ?? machine.listen)(options);
    };
    const connect = (options: Deno.ConnectOptions) => {
      return (current.getStore()?.connect ?? machine.connect)(options);
    };
    Object.assign(Deno, { listen, connect });
  }
  return {
    [Symbol.dispose]() {
      if (--users === 0) Object.assign(Deno, machine);
    },
  };
}

/** Makes the network of a pod whose sandbox has this identity. */
export function makePodNetwork(sandbox: string, routes: Routes): PodNetwork {
  const ports = new Map<number, number>();
  const inside: Inside = {
    listen(options) {
      const { port = 0 } = options;
      if (port !== 0 && ports.has(port)) {
        throw failed("EADDRINUSE", new Deno.errors.AddrInUse("Address already in use"));
      }
      const listener = machine.listen({ ...options, hostname: "127.0.0.1", port: 0 });
      const at = port === 0 ? listener.addr.port : port;
      ports.set(at, listener.addr.port);
      const close = listener.close.bind(listener);
      let closed = false; // a pod may be killed while it ends: both close
      listener.close = () => {
        if (closed) return;
        closed = true;
        ports.delete(at);
        close();
      };
      return listener;
    },
    async connect({ hostname = "127.0.0.1", port, ...rest }) {
      const loopback = hostname === "::1" || hostname.startsWith("127.");
      const at = loopback ? ports.get(port) : routes.get(`${hostname}:${port}`);
      if (at === undefined) throw failed("ECONNREFUSED", new Deno.errors.ConnectionRefused("Connection refused"));
      return await machine.connect({ ...rest, hostname: "127.0.0.1", port: at });
    },
  };
  return {
    run: (body) => current.run(inside, body),
    dial: (port) => inside.connect({ hostname: "127.0.0.1", port }),
    portOf: (port) => ports.get(port),
    refusalOf: (port) =>
      `error forwarding port ${port} to pod ${sandbox}, uid : failed to execute portforward in network namespace ` +
      `"/var/run/netns/cni-${sandbox.slice(0, 8)}": failed to connect to localhost:${port} inside namespace ` +
      `"${sandbox}", IPv4: dial tcp4 127.0.0.1:${port}: connect: connection refused IPv6 dial tcp6: address localhost: ` +
      "no suitable address found ",
  };
}

/** An error as the runtime makes it for the system's. */
function failed(code: string, error: Error): Error {
  return Object.assign(error, { code });
}
