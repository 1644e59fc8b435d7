import type { AddressInfo } from "node:net";
import { createServer, type TLSSocket } from "node:tls";
import { answerRequest, type ApiSeams } from "./api.ts";
import { Connection, ConnectionGone } from "./connection.ts";
import { readRequest } from "./http.ts";
import { tlsFile } from "./kubeconfig.ts";

/** The listening half of the fake. Disposing it cuts every connection and waits for what served them. */
export interface ApiServer extends AsyncDisposable {
  /** `https://127.0.0.1:PORT`. */
  readonly address: string;
  /** Method and path of every request so far. */
  readonly requests: readonly string[];
  /** Cuts the open port-forwards. */
  dropCarriers(): void;
  /** Nobody's certificate is good any more. */
  forgetUsers(): void;
  /** Cuts every connection and closes the port. */
  goDown(): Promise<void>;
}

/** What the server does not bring itself. */
export type ApiServerOptions = Omit<ApiSeams, "carriers" | "knowsNobody" | "signal">;

/** Starts to listen on a free port of the loopback. */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const carriers = new Set<Connection>();
  const connections = new Set<Connection>();
  const serving = new Set<Promise<void>>();
  const requests: string[] = [];
  const ending = new AbortController();
  let knowsNobody = false;
  const seams: ApiSeams = { ...options, carriers, knowsNobody: () => knowsNobody, signal: ending.signal };

  const serve = async (socket: TLSSocket): Promise<void> => {
    const connection = new Connection(socket);
    connections.add(connection);
    try {
      for (let request; (request = await readRequest(connection)) !== null;) {
        requests.push(`${request.method} ${request.url.pathname}${request.url.search}`);
        if (!await answerRequest(request, connection, seams)) break;
      }
    } catch (error) {
      if (!(error instanceof ConnectionGone)) throw error;
    } finally {
      connection.cut();
      connections.delete(connection);
    }
  };
  const server = createServer({
    cert: tlsFile("server.pem"),
    key: tlsFile("server.key"),
    ca: tlsFile("authority.pem"),
    requestCert: true,
    rejectUnauthorized: false, // whoever is unknown gets an answer: 401
  }, (socket) => {
    const served: Promise<void> = serve(socket).finally(() => serving.delete(served));
    serving.add(served);
  });
  server.on("tlsClientError", () => {}); // a client that does not trust us says so and goes
  const { promise: listening, resolve: listens } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", listens);
  await listening;

  let down: Promise<void> | undefined;
  const goDown = () => {
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    if (down !== undefined) return down;
    server.close(() => resolve());
    for (const connection of connections) connection.cut();
    return down = closed;
  };
  return {
    address: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    dropCarriers: () => carriers.forEach((carrier) => carrier.cut()),
    forgetUsers: () => void (knowsNobody = true),
    goDown,
    async [Symbol.asyncDispose]() {
      ending.abort();
      options.faults.clear();
      await goDown();
      await Promise.all(serving);
    },
  };
}
