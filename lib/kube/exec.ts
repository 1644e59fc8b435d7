import { writeAll } from "@/util/mod.ts";
import type { Api, ApiRequest } from "./api.ts";
import { ProtocolError } from "./byte_reader.ts";
import { pods } from "./objects.ts";
import { type ObjectName, pathOf } from "./resource.ts";
import { KubeError, parseStatusText, type Status } from "./status.ts";
import { openWebSocket, type WebSocketStream } from "./websocket.ts";

/** v5 is v4 with a signal that closes a channel; servers before 1.30 know v4 alone. */
export const SUBPROTOCOLS = ["v5.channel.k8s.io", "v4.channel.k8s.io"] as const;
/** Channels of a command. */
export const STDIN = 0;
export const STDOUT = 1;
export const STDERR = 2;
export const STATUS = 3;
/** v5: the channel whose messages name a channel that ends. */
export const CLOSE_CHANNEL = 255;
/** Output that is kept; a command that says more is no command to run this way. */
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

/** What to run. */
export interface ExecOptions {
  /** @default {the pod's first} */
  readonly container?: string;
  /** The program and its words; no shell is involved. */
  readonly command: readonly [string, ...string[]];
  /** All of its standard input. @default {none} */
  readonly stdin?: Uint8Array | string;
  readonly signal?: AbortSignal;
}

/** What a command left behind. */
export interface ExecResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a command in a container of a pod to its end.
 *
 * @throws {KubeError} when it is refused or cannot be started (no such program, container not running)
 */
export async function execCommand(api: Api, pod: Required<ObjectName>, options: ExecOptions): Promise<ExecResult> {
  const { stdin, signal } = options;
  const request = execRequest(pod, { ...options, stdin: stdin !== undefined });
  const { action } = request;
  const socket = await openWebSocket(api, request, SUBPROTOCOLS, { signal });
  const stop = () => socket.close();
  signal?.addEventListener("abort", stop, { once: true });
  try {
    // The input goes on its way while we read: a command may answer before it has read all of it.
    const feeding = stdin === undefined ? undefined : feed(socket, stdin, action);
    feeding?.catch(() => socket.close());
    const { status, stdout, stderr } = await readOutput(socket).catch(async (error) => {
      await feeding; // what went wrong first
      throw error;
    });
    if (status === undefined) throw new ProtocolError(`Cannot ${action}: the server ended it without a status`);
    return { code: exitCode(status, action), stdout, stderr };
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", stop);
    socket.close();
  }
}

/** What is asked for; the input's end is told by {@linkcode CLOSE_CHANNEL}. */
export function execRequest(
  pod: Required<ObjectName>,
  { container, command, stdin }: Pick<ExecOptions, "container" | "command"> & { readonly stdin: boolean },
): Pick<ApiRequest, "path" | "query" | "action" | "access"> {
  return {
    path: `${pathOf(pods, pod.namespace, pod.name)}/exec`,
    query: [
      ...(container === undefined ? [] : [["container", container] as const]),
      ...command.map((word) => ["command", word] as const),
      ...(stdin ? [["stdin", "true"] as const] : []),
      ["stdout", "true"],
      ["stderr", "true"],
    ],
    action: `run "${command[0]}" in pod "${pod.name}" in namespace "${pod.namespace}"`,
    access: { verbs: ["get", "create"], group: "", resource: "pods/exec", namespace: pod.namespace },
  };
}

async function feed(socket: WebSocketStream, stdin: Uint8Array | string, action: string): Promise<void> {
  if (socket.protocol !== SUBPROTOCOLS[0]) {
    // Without an end of its input, a command that reads all of it would wait for ever.
    throw new ProtocolError(`Cannot ${action}: the server cannot pass on the end of an input (Kubernetes before 1.30)`);
  }
  const bytes = typeof stdin === "string" ? new TextEncoder().encode(stdin) : stdin;
  await writeAll({ write: (rest) => socket.sendSome(STDIN, rest) }, bytes);
  await socket.send(CLOSE_CHANNEL, new Uint8Array([STDIN]));
}

async function readOutput(socket: WebSocketStream) {
  const decoders = new Map([STDOUT, STDERR, STATUS].map((channel) => [channel, new TextDecoder()]));
  const texts = new Map<number, string>();
  const buffer = new Uint8Array(64 * 1024);
  let total = 0;
  while (await socket.next()) {
    const channel = new Uint8Array(1);
    if (await socket.read(channel) === null) continue;
    const [number = 0] = channel;
    const decoder = decoders.get(number);
    if (decoder === undefined) continue;
    for (let count; (count = await socket.read(buffer)) !== null;) {
      total += count;
      if (total > MAX_OUTPUT_BYTES) throw new ProtocolError("Command in the pod wrote more than 64 MiB");
      texts.set(number, (texts.get(number) ?? "") + decoder.decode(buffer.subarray(0, count), { stream: true }));
    }
  }
  const text = (channel: number) => (texts.get(channel) ?? "") + (decoders.get(channel)?.decode() ?? "");
  return { status: parseStatusText(text(STATUS)), stdout: text(STDOUT), stderr: text(STDERR) };
}

/** The exit code in the status that ends a command. @throws {KubeError} when the command did not start */
export function exitCode(status: Status, action: string): number {
  if (status.success) return 0;
  const cause = status.causes.find(({ reason }) => reason === "ExitCode");
  const code = Number(cause?.message ?? NaN);
  if (status.reason === "NonZeroExitCode" && Number.isInteger(code)) return code;
  throw new KubeError(`Cannot ${action}: ${status.message}`, {
    status: status.code || 500,
    reason: status.reason,
    words: status.message,
    causes: status.causes,
  });
}
