import type { Connection } from "./connection.ts";

/** A request as it came. */
export interface Request {
  readonly method: string;
  readonly url: URL;
  readonly headers: Headers;
  readonly body: string;
}

/** Reads one request; null when the connection has no more. */
export async function readRequest(connection: Connection): Promise<Request | null> {
  const first = await connection.readLine();
  if (first === null) return null;
  const [method = "", target = ""] = first.split(" ");
  const headers = new Headers();
  for (;;) {
    const line = await connection.readLine();
    if (line === null) return null;
    if (line === "") break;
    const colon = line.indexOf(":");
    headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  const body = await connection.readBytes(Number(headers.get("content-length") ?? 0));
  if (body === null) return null;
  return { method, url: new URL(target, "https://fake"), headers, body: new TextDecoder().decode(body) };
}

/** An answer that is whole. */
export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Text as it is, anything else as JSON. */
  readonly body: unknown;
}

/** Sends an answer, or the first half of it. */
export async function sendAnswer(connection: Connection, answer: Answer, part: "all" | "half" = "all"): Promise<void> {
  const { status, headers = {}, body } = answer;
  const text = typeof body === "string" ? body : JSON.stringify(body) + "\n";
  const bytes = new TextEncoder().encode(text);
  const lines = [
    `HTTP/1.1 ${status} ${REASONS[status] ?? "Status"}`,
    `Content-Type: ${typeof body === "string" ? "text/plain" : "application/json"}`,
    `Content-Length: ${bytes.length}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ];
  const whole = new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n${text}`);
  await connection.write(part === "all" ? whole : whole.subarray(0, whole.length - Math.ceil(bytes.length / 2)));
}

const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  201: "Created",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  409: "Conflict",
  410: "Gone",
  422: "Unprocessable Entity",
  429: "Too Many Requests",
  500: "Internal Server Error",
  503: "Service Unavailable",
};

/** An answer that comes in pieces (RFC 9112, section 7.1). */
export interface Chunked {
  send(text: string): Promise<void>;
  end(): Promise<void>;
}

/** Starts an answer of JSON lines. */
export async function startChunked(connection: Connection): Promise<Chunked> {
  await connection.write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
  return {
    send: (text) => connection.write(`${new TextEncoder().encode(text).length.toString(16)}\r\n${text}\r\n`),
    end: () => connection.write("0\r\n\r\n"),
  };
}
