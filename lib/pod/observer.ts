import type { MuxStream } from "@/transport/mod.ts";
import type { AgentRequest, HostRequest } from "./messages.ts";
import type { Address, Caller } from "./pod.ts";

/**
 * One thing that was asked of the pod: a connection, a flow of datagrams, a connection that came to an exposed port, or
 * a look-up. Live: what is read now is true now.
 */
export interface Flow {
  /** Counts from 1, over all kinds. */
  readonly id: number;
  readonly kind: "tcp" | "udp" | "exposed" | "lookup";
  /** Where it goes, or the name that was looked up; of an exposed port, who connected. */
  readonly peer: Address;
  /** Of an exposed port, which one of the pod's. */
  readonly port?: number;
  /** Whose it is on the host, once it is known. */
  readonly caller: Caller | undefined;
  /** When it began, in milliseconds since 1970. */
  readonly since: number;
  /** `opening` until the pod has answered; `failed` when it refused. */
  readonly state: "opening" | "open" | "ended" | "failed";
  /** When it ended or failed. */
  readonly until?: number;
  /** The errno (or getaddrinfo's error) that it failed with, or that ended it. */
  readonly error?: string;
  /** The addresses that a look-up gave. */
  readonly answer?: readonly string[];
  /** Bytes to the pod. */
  readonly sent: number;
  /** Bytes from the pod. */
  readonly received: number;
}

/**
 * Hears of every flow: when it begins, when the pod has answered, and when it is over. Called while the flow goes on, so
 * it does little, and throws nothing.
 */
export type Observer = (flow: Flow) => void;

type State = Flow["state"];

/** A flow, written by the client of the pod alone. */
export class LiveFlow implements Flow {
  readonly id: number;
  readonly kind: Flow["kind"];
  readonly peer: Address;
  declare readonly port?: number;
  readonly since: number = Date.now();
  state: State = "opening";
  declare until?: number;
  declare error?: string;
  declare answer?: readonly string[];
  readonly #caller: (() => Caller | undefined) | undefined;
  readonly #tell: Observer;
  #stream: Pick<MuxStream, "sentBytes" | "receivedBytes"> | undefined;

  constructor(
    { id, kind, peer, port, caller }:
      & Pick<Flow, "id" | "kind" | "peer">
      & { readonly port?: number; readonly caller?: (() => Caller | undefined) | undefined },
    tell: Observer,
  ) {
    this.id = id;
    this.kind = kind;
    this.peer = peer;
    if (port !== undefined) this.port = port;
    this.#caller = caller;
    this.#tell = tell;
    tell(this);
  }

  get caller(): Caller | undefined {
    return this.#caller?.();
  }

  get sent(): number {
    return this.#stream?.sentBytes ?? 0;
  }

  get received(): number {
    return this.#stream?.receivedBytes ?? 0;
  }

  /** The pod has answered: bytes may go, until the stream is over. */
  opened(stream: MuxStream): void {
    this.#stream = stream;
    this.#become("open");
    stream.onOver((error) => this.#end("ended", error));
  }

  /** A look-up was answered. */
  answered(addresses: readonly string[]): void {
    this.answer = addresses;
    this.#end("ended", undefined);
  }

  /** The pod refused, or who asked gave up. */
  failed(error: unknown): void {
    this.#end("failed", error);
  }

  #end(state: State, error: unknown): void {
    if (this.until !== undefined) return;
    this.until = Date.now();
    const code = error instanceof Error && "code" in error ? String(error.code) : undefined;
    if (error !== undefined) this.error = code ?? (error instanceof Error ? error.name : String(error));
    const { sent, received } = this;
    this.#stream = { sentBytes: sent, receivedBytes: received }; // the stream's buffers are not ours to keep
    this.#become(state);
  }

  #become(state: State): void {
    this.state = state;
    this.#tell(this);
  }
}

/** What a request is about, for those that are flows. */
export function aboutRequest(request: HostRequest): Pick<Flow, "kind" | "peer"> | undefined {
  switch (request.ask) {
    case "dial":
      return { kind: "tcp", peer: { host: request.host, port: request.port } };
    case "datagrams":
      return { kind: "udp", peer: { host: request.host, port: request.port } };
    case "lookup":
    case "resolve":
      return { kind: "lookup", peer: { host: request.name, port: 0 } };
    default:
      return undefined;
  }
}

/** What a connection to an exposed port is about. */
export function aboutAccepted({ from }: AgentRequest, port: number): Pick<Flow, "kind" | "peer" | "port"> {
  return { kind: "exposed", peer: from, port };
}
