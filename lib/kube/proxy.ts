/**
 * Through a proxy: HTTP CONNECT (RFC 9110, section 9.3.6) and SOCKS 5 (RFC 1928, RFC 1929).
 *
 * @module
 */
import { type Duplex, readFull, UserError, writeAll } from "@/util/mod.ts";
import { ByteReader } from "./byte_reader.ts";
import { basic } from "./credentials.ts";
import { readHead, sendRequest } from "./http.ts";

/** Where the way through a proxy leads. */
export interface ProxyTarget {
  readonly hostname: string;
  readonly port: number;
}

/**
 * Asks the proxy at the other end of `conn` to connect it to `target`; afterwards `conn` is that connection.
 *
 * @throws {UserError} when the proxy refuses
 */
export async function throughProxy(conn: Duplex, proxy: URL, target: ProxyTarget): Promise<void> {
  if (proxy.protocol.startsWith("socks")) await socks(conn, proxy, target);
  else await connect(conn, proxy, target);
}

async function connect(conn: Duplex, proxy: URL, { hostname, port }: ProxyTarget): Promise<void> {
  const authority = `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
  const { username, password } = userOf(proxy);
  await sendRequest(conn, {
    method: "CONNECT",
    target: authority,
    headers: [
      ["Host", authority],
      ...(username === "" ? [] : [["Proxy-Authorization", `Basic ${basic(username, password)}`] as const]),
    ],
  });
  // The server does not speak before we do, so nothing behind the head can get lost in the reader's buffer.
  const head = await readHead(new ByteReader(conn));
  if (head !== null && head.status >= 200 && head.status < 300) return;
  const state = head === null ? "closed the connection" : `answered with HTTP status ${head.status}`;
  throw refused(proxy, authority, state, head?.status === 407);
}

/** What a SOCKS server answers a CONNECT with: RFC 1928, section 6. */
const SOCKS_REPLIES = [
  "",
  "general failure",
  "not allowed",
  "network unreachable",
  "host unreachable",
  "connection refused",
  "time to live expired",
  "command not supported",
  "address type not supported",
];

async function socks(conn: Duplex, proxy: URL, { hostname, port }: ProxyTarget): Promise<void> {
  const name = new TextEncoder().encode(hostname);
  const { username, password } = userOf(proxy);
  const refuse = (state: string, login = false) => refused(proxy, `${hostname}:${port}`, state, login);
  const user = new TextEncoder().encode(username);
  const secret = new TextEncoder().encode(password);
  if ([name, user, secret].some(({ length }) => length > 255)) throw refuse("takes names of 255 bytes at most");

  await writeAll(conn, new Uint8Array(username === "" ? [5, 1, 0] : [5, 2, 0, 2]));
  const [version, method] = await exactly(conn, 2, refuse);
  if (version !== 5) throw refuse("does not speak SOCKS 5");
  if (method === 2) {
    await writeAll(conn, new Uint8Array([1, user.length, ...user, secret.length, ...secret]));
    const [, status] = await exactly(conn, 2, refuse);
    if (status !== 0) throw refuse("did not accept user name and password", true);
  } else if (method !== 0) {
    throw refuse("wants another way to log in", true);
  }

  // The name goes as it is: the proxy may know names that we do not.
  await writeAll(conn, new Uint8Array([5, 1, 0, 3, name.length, ...name, port >> 8, port & 0xff]));
  const [, reply = 1, , type] = await exactly(conn, 4, refuse);
  if (reply !== 0) throw refuse(`answered: ${SOCKS_REPLIES[reply] ?? `code ${reply}`}`);
  const [named = 0] = type === 3 ? await exactly(conn, 1, refuse) : [];
  await exactly(conn, (type === 1 ? 4 : type === 4 ? 16 : named) + 2, refuse);
}

async function exactly(conn: Duplex, count: number, refuse: (state: string) => UserError): Promise<Uint8Array> {
  const bytes = new Uint8Array(count);
  if (!await readFull(conn, bytes)) throw refuse("closed the connection");
  return bytes;
}

function userOf(proxy: URL): { username: string; password: string } {
  return { username: unescaped(proxy.username), password: unescaped(proxy.password) };
}

/** Without its percent escapes; what is none stands for itself. */
function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function refused(proxy: URL, target: string, state: string, login: boolean): UserError {
  return new UserError(`Cannot connect to ${target} through the proxy ${proxy.protocol}//${proxy.host}: it ${state}`, {
    hints: [
      login
        ? "Give user and password in the proxy's address: http://user:password@proxy:3128"
        : "Hosts that are to be reached without a proxy are named in NO_PROXY",
    ],
  });
}
