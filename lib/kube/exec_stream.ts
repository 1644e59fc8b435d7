import { type Duplex, UserError } from "@/util/mod.ts";
import type { Api } from "./api.ts";
import { ProtocolError } from "./byte_reader.ts";
import { CLOSE_CHANNEL, execRequest, exitCode, STATUS, STDERR, STDIN, STDOUT, SUBPROTOCOLS } from "./exec.ts";
import { pieceDuplex } from "./piece_duplex.ts";
import type { ObjectName } from "./resource.ts";
import { parseStatusText } from "./status.ts";
import { openWebSocket, type WebSocketStream } from "./websocket.ts";

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
 * `closeWrite` ends the command's input where the server can pass that on (Kubernetes 1.30 and later); where it cannot,
 * it does nothing, or ends both directions when `endsWhole` says so: whoever must rely on an end carries it inside.
 * Closing does not end the command: it should end itself when its input does.
 *
 * @throws {KubeError} when it is refused
 */
export async function openExecStream(
  api: Api,
  pod: Required<ObjectName>,
  options: ExecStreamOptions & { readonly endsWhole?: boolean },
): Promise<Duplex> {
  const request = execRequest(pod, { ...options, stdin: true });
  const socket = await openWebSocket(api, request, SUBPROTOCOLS, { signal: options.signal });
  return execDuplex(socket, request.action, options);
}

function execDuplex(
  socket: WebSocketStream,
  action: string,
  { onStderr, endsWhole = false }: Pick<ExecStreamOptions, "onStderr"> & { readonly endsWhole?: boolean },
): Duplex {
  const canEndInput = socket.protocol === SUBPROTOCOLS[0];
  const channel = new Uint8Array(1);
  let stderr = "";
  let status = "";
  const text = async () => new TextDecoder().decode(await socket.readMessage(MAX_TEXT_BYTES));
  const addStatus = (words: string) => {
    status += words;
    if (status.length > MAX_TEXT_BYTES) throw new ProtocolError(`Cannot ${action}: the server's status has no end`);
  };
  /** Deals with one message. @returns whether it is output */
  const step = async (): Promise<boolean> => {
    if (await socket.read(channel) === null) return false;
    if (channel[0] === STATUS) addStatus(await text());
    if (channel[0] === STDERR) {
      const words = await text();
      onStderr?.(words);
      stderr = (stderr + words).slice(-1000);
    }
    return channel[0] === STDOUT;
  };
  /** @throws how the command ended, unless well */
  const requireSuccess = (): void => {
    const ended = parseStatusText(status);
    if (ended === undefined) throw new ExecError(255, `Cannot ${action}: the server ended it without a status`);
    const code = exitCode(ended, action);
    if (code === 0) return;
    throw new ExecError(code, `Cannot ${action}: it ended with exit code ${code}${stderr && `: ${stderr.trim()}`}`);
  };
  return pieceDuplex({
    async next() {
      while (await socket.next()) if (await step()) return true;
      requireSuccess();
      return false;
    },
    read: (into) => socket.read(into),
    write: (bytes) => socket.sendSome(STDIN, bytes),
    async closeWrite() {
      if (canEndInput) await socket.send(CLOSE_CHANNEL, new Uint8Array([STDIN]));
      else if (endsWhole) await socket.sendClose();
    },
    close: () => socket.close(),
  });
}
