import type { DnsRecord } from "@/dns/mod.ts";
import type { Duplex } from "@/util/mod.ts";

/** Where to connect: a name as the pod's resolver knows it or an address, and a TCP port. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Who asks, on the host: the program's end of the connection, or its process where that is known. */
export type Caller = Address | { readonly pid: number };

/** What a wait can be given up by, and who it is for. */
export interface Waiting {
  /** Who asks, for who watches; asked for when it matters. */
  readonly caller?: () => Caller | undefined;
  readonly signal?: AbortSignal;
}

/**
 * The pod as seen from the host: everything that the user's process can ask of it. The narrow waist of the program:
 * what is above (capture, env, expose) knows nothing else, what is below knows nothing of it.
 */
export interface Pod {
  /**
   * Connects from inside the pod.
   *
   * @throws {DialError} with the pod's own errno, or {LookupError} where the host is a name that does not resolve
   */
  dial(address: Address, options?: Waiting): Promise<Duplex>;

  /**
   * Resolves a name to addresses as a process in the pod would: its resolver, search list, ndots and hosts file.
   *
   * @throws {LookupError} with getaddrinfo's code
   */
  lookup(name: string, options?: LookupOptions): Promise<Answer>;

  /**
   * Listens on a TCP port of the pod, on all of its addresses or on its loopback alone.
   *
   * @throws {DialError} with the errno of the failed bind (EADDRINUSE, EACCES)
   */
  listen(port: number, options?: ListenOptions): Promise<PodListener>;

  /**
   * Looks up records of any type as a process in the pod would: its hosts file, name servers, search list and ndots.
   * That there are none is an answer, not an error.
   *
   * @param type the number of the type (RFC 1035, section 3.2.2): 1 A, 12 PTR, 16 TXT, 28 AAAA, 33 SRV
   * @throws {LookupError} EAI_AGAIN when no name server answers, EAI_NONAME when it can be no name
   */
  resolve(name: string, type: number, options?: Waiting): Promise<DnsAnswer>;

  /**
   * Opens a UDP flow from inside the pod to one peer.
   *
   * @throws {DialError} where there is no way, {LookupError} where the host is a name that does not resolve
   */
  datagrams(address: Address, options?: Waiting): Promise<DatagramFlow>;

  /** The environment that the agent's container was started with. */
  environment(options?: Waiting): Promise<Record<string, string>>;

  /**
   * Opens the files of the pod's volumes, which are at the same paths as in the pod; the user and the groups of the
   * agent's container decide what may be done.
   *
   * @param mounts the mount points, absolute paths
   * @param options `signal` also gives up a wait for the files of a pod that comes next: the connection ends then
   */
  files(mounts: readonly string[], options?: FilesOptions): Promise<PodFiles>;
}

/** A session as it introduces itself to an agent, for the others that use the same one. */
export interface Introduction {
  readonly session: string;
  /** `user@host`. */
  readonly by: string;
  /** ISO 8601. */
  readonly since: string;
}

/** A session that uses an agent, as another one sees it. */
export interface PodSession extends Introduction {
  /** The ports of the pod that it has. */
  readonly ports: readonly number[];
}

/** Options of {@linkcode Pod.files}. */
export interface FilesOptions extends Waiting {
  /**
   * Whether a READ of a file that went with a lost pod ends the connection, instead of being refused: for a client that
   * takes a refusal for the end of the file. @default {false}
   */
  readonly endsWithLostRead?: boolean;
}

/** A connection to the files of a pod. */
export interface PodFiles {
  /** Those mount points that are there. */
  readonly mounts: readonly string[];
  /**
   * Speaks SFTP, as a server does (`sftp.md`). Its end of stream ends the connection. Where the pod is one that lasts,
   * so does this: the files of the next pod take the place of the lost one's.
   */
  readonly duplex: Duplex;
}

/** The answer to a question of DNS. */
export interface DnsAnswer {
  /** As the server gave it (`RCODES` of the room dns). */
  readonly rcode: number;
  /** The name that was answered: with the domain of the search list where that gave it. */
  readonly name: string;
  readonly records: readonly DnsRecord[];
  /** Who says so; with no records it has the SOA, whose time tells how long that holds. */
  readonly authority: readonly DnsRecord[];
}

/**
 * UDP to and from one peer, by a socket of the pod. Datagrams may be lost, and a flow in which nothing moves is over
 * after two minutes. Disposing it closes the socket.
 */
export interface DatagramFlow extends AsyncDisposable {
  /** Sends one datagram. @throws {DialError} when the flow is over; its errno where the peer's machine told one */
  send(payload: Uint8Array): Promise<void>;
  /** What comes from the peer; ends with the flow. @throws {DialError} with the errno that ended it */
  received(): AsyncIterable<Uint8Array>;
}

/** Options of {@linkcode Pod.listen}. */
export interface ListenOptions extends Waiting {
  /** Whether only the pod's own containers can connect. @default {false} */
  readonly loopback?: boolean;
}

/** Options of {@linkcode Pod.lookup}. */
export interface LookupOptions extends Waiting {
  /** Which addresses are wanted. @default {"any"} */
  readonly family?: Family;
}

/** IPv4 addresses alone, IPv6 addresses alone, or whichever there are. */
export type Family = 4 | 6 | "any";

/** What a name resolves to. Never empty: no address is an error. */
export interface Answer {
  /** Addresses in the order of preference of the pod's resolver, without zone. */
  readonly addresses: readonly string[];
}

/** A TCP port of the pod that hands its connections to the host. Disposing it closes the port. */
export interface PodListener extends AsyncDisposable {
  readonly port: number;
  /** The connections, each with the caller's address; ends when the listener is disposed, throws when the tunnel is lost. */
  accepted(): AsyncIterable<PodConnection>;
}

/** A connection that somebody in the cluster made to an exposed port. */
export interface PodConnection {
  readonly duplex: Duplex;
  readonly from: Address;
}

/** Names of the errors of connect, bind and read that travel from the pod; values differ by machine, names do not. */
export const ERRNO_NAMES = [
  "EACCES",
  "EADDRINUSE",
  "EADDRNOTAVAIL",
  "EAFNOSUPPORT",
  "ECONNABORTED",
  "ECONNREFUSED",
  "ECONNRESET",
  "EHOSTUNREACH",
  "EINVAL",
  "EMFILE",
  "ENETUNREACH",
  "EPERM",
  "EPIPE",
  "ETIMEDOUT",
  "EIO",
] as const;
/** The name of an errno that travels; EIO stands for every other. */
export type ErrnoName = typeof ERRNO_NAMES[number];

/** Names of getaddrinfo's errors (RFC 3493, section 6.1). */
export const EAI_NAMES = ["EAI_NONAME", "EAI_AGAIN", "EAI_FAIL", "EAI_FAMILY"] as const;
/** The name of an error of getaddrinfo. */
export type EaiName = typeof EAI_NAMES[number];

/** A connect or bind that the pod's kernel refused; `code` is its errno. */
export class DialError extends Error {
  override readonly name = "DialError";
  readonly code: ErrnoName;
  constructor(code: ErrnoName, message: string) {
    super(message);
    this.code = code;
  }
}

/** A name that the pod's resolver could not resolve; `code` is getaddrinfo's. */
export class LookupError extends Error {
  override readonly name = "LookupError";
  readonly code: EaiName;
  constructor(code: EaiName, message: string) {
    super(message);
    this.code = code;
  }
}
