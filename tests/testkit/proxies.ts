/**
 * Proxies of the kinds that a kubeconfig may name. For them every name is this machine, so that a server can be given a
 * name which nobody else resolves: what reaches it has come through the proxy.
 *
 * @module
 */
import { closeQuietly, type Duplex, readFull, splice, writeAll } from "@/util/mod.ts";
import { tlsFile } from "./kubeconfig.ts";

/** A kind of proxy: HTTP CONNECT without and with TLS, SOCKS 5. */
export type ProxyKind = "http" | "https" | "socks5";

/** A proxy on a free port of the loopback. Disposing it cuts all that goes through it. */
export interface Proxy extends AsyncDisposable {
  /** Its address, the login in it. */
  readonly url: string;
  /** Names that it was asked to connect to. */
  readonly asked: readonly string[];
  /** Cuts the connections through it. */
  drop(): void;
}

/** The name that no SOCKS proxy here connects to. */
const REFUSED = "refused.example.test";

interface Serving {
  readonly login: string;
  readonly asked: string[];
  readonly open: Set<Deno.Conn>;
}

/**
 * Starts a proxy that goes wherever it is told.
 *
 * @param login `user:password` that it wants, or empty
 */
export function startProxy(kind: ProxyKind, login = ""): Proxy {
  const listener = kind === "https"
    ? Deno.listenTls({ port: 0, hostname: "127.0.0.1", cert: tlsFile("server.pem"), key: tlsFile("server.key") })
    : Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const { port } = listener.addr as Deno.NetAddr;
  const serving: Serving = { login, asked: [], open: new Set() };
  const drop = () => serving.open.forEach(closeQuietly);
  const accepting = (async () => {
    const tasks: Promise<void>[] = [];
    for await (const conn of listener) {
      serving.open.add(conn);
      const serve = kind === "socks5" ? serveSocks : serveConnect;
      tasks.push(serve(conn as Deno.TcpConn, serving).catch(() => closeQuietly(conn)));
    }
    await Promise.all(tasks);
  })();
  return {
    url: `${kind}://${login && `${login}@`}127.0.0.1:${port}`,
    asked: serving.asked,
    drop,
    async [Symbol.asyncDispose]() {
      listener.close();
      drop();
      await accepting;
    },
  };
}

/** HTTP CONNECT: RFC 9110, section 9.3.6. */
async function serveConnect(conn: Deno.TcpConn, serving: Serving): Promise<void> {
  const [, target = ""] = (await readLine(conn)).split(" ");
  const headers = new Headers();
  for (let line; (line = await readLine(conn)) !== "";) headers.append(...line.split(": ") as [string, string]);
  const say = (line: string) => writeAll(conn, new TextEncoder().encode(`HTTP/1.1 ${line}\r\n\r\n`));
  if (serving.login !== "" && headers.get("proxy-authorization") !== `Basic ${btoa(serving.login)}`) {
    await say("407 Proxy Authentication Required\r\nContent-Length: 0");
    return conn.close();
  }
  const { hostname, port } = new URL(`tcp://${target}`);
  const server = await connectTo(hostname, Number(port), serving);
  await say("200 Connected");
  await splice(closable(conn), closable(server));
}

/** SOCKS 5: RFC 1928, with the login of RFC 1929. */
async function serveSocks(conn: Deno.TcpConn, serving: Serving): Promise<void> {
  const text = async () => new TextDecoder().decode(new Uint8Array(await take(conn, (await take(conn, 1))[0] ?? 0)));
  const [, methods = 0] = await take(conn, 2);
  await take(conn, methods);
  await writeAll(conn, new Uint8Array([5, serving.login === "" ? 0 : 2]));
  if (serving.login !== "") {
    await take(conn, 1);
    const isRight = `${await text()}:${await text()}` === serving.login;
    await writeAll(conn, new Uint8Array([1, isRight ? 0 : 1]));
    if (!isRight) return conn.close();
  }
  await take(conn, 4);
  const hostname = await text();
  const [high = 0, low = 0] = await take(conn, 2);
  const reply = (code: number) => writeAll(conn, new Uint8Array([5, code, 0, 1, 0, 0, 0, 0, 0, 0]));
  if (hostname === REFUSED) {
    await reply(5);
    return conn.close();
  }
  const server = await connectTo(hostname, high << 8 | low, serving);
  await reply(0);
  await splice(closable(conn), closable(server));
}

async function connectTo(hostname: string, port: number, { asked, open }: Serving): Promise<Deno.TcpConn> {
  asked.push(hostname);
  const conn = await Deno.connect({ hostname: hostname === "[::1]" ? "::1" : "127.0.0.1", port });
  open.add(conn);
  return conn;
}

/** A line without its end; a byte at a time, so that nothing behind the head is taken. */
async function readLine(conn: Deno.TcpConn): Promise<string> {
  let line = "";
  while (!line.endsWith("\n")) line += String.fromCharCode(...await take(conn, 1));
  return line.trimEnd();
}

async function take(conn: Deno.TcpConn, count: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(count);
  if (count > 0 && !await readFull(conn, bytes)) throw new Error("The client went away");
  return bytes;
}

function closable(conn: Deno.TcpConn): Duplex {
  return {
    read: (into) => conn.read(into),
    write: (part) => conn.write(part),
    closeWrite: () => conn.closeWrite(),
    close: () => closeQuietly(conn),
  };
}
