import { type Duplex, UserError } from "@/util/mod.ts";
import type { Api } from "./api.ts";
import { CLOSE_CHANNEL, execRequest, exitCode, STATUS, STDERR, STDIN, STDOUT, SUBPROTOCOLS } from "./exec.ts";
import type { ObjectName } from "./resource.ts";
import { parseStatusText } from "./status.ts";
import { MAX_SEND_BYTES, openWebSocket, type WebSocketStream } from "./websocket.ts";

/** Status and error output that are kept for an error's message. */
const MAX_TEXT_BYTES = 64 * 1024;

/** A command whose standard input and output are a connection. */
export interface ExecStreamOptions {
  /** @default {the pod's first} */
  readonly container?: string;
  /** The program and its words; no shell is involved. */
  readonly command: readonly [string, ...string[]];
  /** Gets the command's error output as it comes (while somebody reads). @default {kept for the error at the end} */
  readonly onStderr?: (text: string) => void;
  readonly signal?: AbortSignal;
}

/** A command in a pod ended with another exit code than 0. */
export class ExecError extends UserError {
  override readonly name = "ExecError";
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * Runs a command in a container of a pod, and gives its standard output to read and its standard input to write.
 *
 * A read gives `null` when the command has ended with exit code 0, and throws an {@linkcode ExecError} for any other.
 * `closeWrite` ends the command's input where the server can pass that on (Kubernetes 1.30 and later), and does nothing
 * where it cannot: whoever must rely on an end carries it inside. Closing does not end the command: it should end
 * itself when its input does.
 *
 * @throws {KubeError} when it is refused
 */
export async function openExecStream(
  api: Api,
  pod: Required<ObjectName>,
  options: ExecStreamOptions,
): Promise<Duplex> {
  const request = execRequest(pod, { ...options, stdin: true });
  const socket = await openWebSocket(api, request, SUBPROTOCOLS, { signal: options.signal });
  return execDuplex(socket, request.action, options.onStderr);
}

function execDuplex(socket: WebSocketStream, action: string, onStderr: ExecStreamOptions["onStderr"]): Duplex {
  let failure: Error | undefined;
  let inOutput = false;
  let stderr = "";
  let status = "";
  const channel = new Uint8Array(1);
  const fail = (error: unknown): never => {
    failure ??= error instanceof Error ? error : new Error(String(error));
    socket.close();
    throw failure;
  };
  const text = async () => new TextDecoder().decode(await socket.readMessage(MAX_TEXT_BYTES));
  /** Deals with one message. @returns whether it is output */
  const step = async (): Promise<boolean> => {
    if (await socket.read(channel) === null) return false;
    if (channel[0] === STATUS) status += await text();
    if (channel[0] === STDERR) {
      const words = await text();
      onStderr?.(words);
      stderr = (stderr + words).slice(-1000);
    }
    return channel[0] === STDOUT;
  };
  /** How the command ended. */
  const finish = (): null => {
    const ended = parseStatusText(status);
    if (ended === undefined) throw new ExecError(255, `Cannot ${action}: the server ended it without a status`);
    const code = exitCode(ended, action);
    if (code === 0) return null;
    throw new ExecError(code, `Cannot ${action}: it ended with exit code ${code}${stderr && `: ${stderr.trim()}`}`);
  };
  return {
    async read(into) {
      if (failure !== undefined) throw failure;
      try {
        for (;;) {
          const count = inOutput ? await socket.read(into) : null;
          if (count !== null) return count;
          if (!await socket.next()) return finish();
          inOutput = await step();
        }
      } catch (error) {
        return fail(error);
      }
    },
    async write(bytes) {
      if (failure !== undefined) throw failure;
      const part = bytes.length > MAX_SEND_BYTES ? bytes.subarray(0, MAX_SEND_BYTES) : bytes;
      try {
        await socket.send(STDIN, part);
      } catch (error) {
        return fail(error);
      }
      return part.length;
    },
    async closeWrite() {
      if (socket.protocol === SUBPROTOCOLS[0]) await socket.send(CLOSE_CHANNEL, new Uint8Array([STDIN]));
    },
    close() {
      failure ??= new Error("Connection was closed by us");
      socket.close();
    },
  };
}
