import type { Duplex } from "@/util/mod.ts";
import type { ClusterConfig } from "./cluster_config.ts";
import type { ExecOptions, ExecResult } from "./exec.ts";
import type { ExecStreamOptions } from "./exec_stream.ts";
import type { PortForwardOptions } from "./port_forwarder.ts";
import type { KubeObject, ObjectName, Resource } from "./resource.ts";
import type { KubeError } from "./status.ts";
import type { Selection, WatchEvent, WatchSelection } from "./watch.ts";

/** What every call that waits can be given up by. */
export interface CallOptions {
  /** Ends the wait; its reason is what the call throws. */
  readonly signal?: AbortSignal;
}

/** What can be told meanwhile, too: calls that are sent again as long as the server asks for that (`Retry-After`). */
export interface PatientOptions extends CallOptions {
  /** Told of a refusal before the time passes that it names: a signal that ends the wait shows nothing of it. */
  readonly onBusy?: (refusal: KubeError) => void;
}

/** What a change can be tried with. */
export interface ChangeOptions extends PatientOptions {
  /** Whether the server only says what it would do. @default {false} */
  readonly dryRun?: boolean;
}

/** A change of an object. */
export interface Patch {
  /**
   * `merge`: RFC 7396. `strategic`: lists are merged by their keys, built-in resources only. `json`: RFC 6902.
   * `apply`: server-side apply, which needs a field manager.
   */
  readonly type: "merge" | "strategic" | "json" | "apply";
  readonly body: unknown;
  /** Who owns the fields afterwards. */
  readonly fieldManager?: string;
  /** With `apply`: takes fields over from other managers. @default {false} */
  readonly force?: boolean;
}

/** How an object is deleted. */
export interface DeleteOptions extends PatientOptions {
  /** What becomes of objects that it owns. @default {"Background"} */
  readonly propagation?: "Background" | "Foreground" | "Orphan";
  /** Precondition: the object that has this UID, not a later one of the same name. */
  readonly uid?: string;
  /** Precondition: the object as it was at this version. */
  readonly resourceVersion?: string;
  /** Seconds that a pod has to end; 0 is at once. @default {the object's own} */
  readonly gracePeriodSeconds?: number;
}

/** Which lines of a container's log. */
export interface LogOptions extends CallOptions {
  /** The last so many lines alone. */
  readonly tailLines?: number;
  /** Of the run before the last restart. @default {false} */
  readonly previous?: boolean;
}

/** A container of a pod; without its name, the only one. */
export interface ContainerName extends ObjectName {
  readonly container?: string;
}

/** The release of an API server. */
export interface KubeVersion {
  /** With patch release and suffix: `v1.34.1`. */
  readonly gitVersion: string;
  readonly major: number;
  readonly minor: number;
}

/**
 * A client of one API server. Each call throws a `KubeError` for what the server refuses, a `UserError` when it cannot
 * be reached or credentials cannot be had, and the signal's reason when the signal ends it. Disposing the client closes
 * the connections that wait for a next request; streams that were handed out live on.
 */
export interface KubeClient extends AsyncDisposable {
  readonly config: ClusterConfig;
  /** The release that the server says it is. */
  version(options?: CallOptions): Promise<KubeVersion>;
  /** One object as it is stored now. Throws where there is none (`isNotFound`). */
  get<T>(resource: Resource<T>, where: ObjectName, options?: PatientOptions): Promise<T>;
  /** All selected objects (pages are fetched inside), and the version from which a watch can go on. */
  list<T>(
    resource: Resource<T>,
    where?: Selection,
    options?: CallOptions,
  ): Promise<{ items: T[]; resourceVersion: string }>;
  /** Stores a new object; `kind` and `apiVersion` are filled in, the namespace is that of its metadata. */
  create<T>(resource: Resource<T>, object: NewObject, options?: ChangeOptions): Promise<T>;
  /** Changes a stored object and gives it as it is then; server-side apply makes it where there is none. */
  patch<T>(resource: Resource<T>, where: ObjectName, patch: Patch, options?: ChangeOptions): Promise<T>;
  /** Puts `object` in the place of the stored one; with `metadata.resourceVersion`, only if that is its version. */
  replace<T>(resource: Resource<T>, object: NewObject, options?: ChangeOptions): Promise<T>;
  /** Asks for a deletion; the object may be there for a while after. Throws where there is none (`isNotFound`). */
  delete(resource: Resource<unknown>, where: ObjectName, options?: DeleteOptions): Promise<void>;
  /**
   * Changes as they happen, over lost connections and expired versions; goes on until the loop over it is left or
   * `signal` aborts (which throws its reason).
   */
  watch<T>(resource: Resource<T>, where?: WatchSelection, options?: CallOptions): AsyncIterable<WatchEvent<T>>;
  /** What a container wrote so far. */
  logs(where: ContainerName, options?: LogOptions): Promise<string>;
  /** The lines of a container's log, from now on too (`kubectl logs -f`); ends when the container does. */
  followLogs(where: ContainerName, options?: LogOptions): AsyncIterable<string>;
  /**
   * One connection to a TCP port of a pod, made by the node to `localhost` in the pod's network namespace. It resolves
   * when the node's server has answered, **before** that has connected: a port where nobody listens shows as a
   * `PortForwardError` of the first read.
   *
   * Reading has back-pressure: what nobody reads stays with the peer. A write takes 128 KiB at most and waits for the
   * socket. There is no half-close to rely on: by `websocket`, `closeWrite` sends what is under way and then ends both
   * directions (bytes already on their way to us can be read until `null`); by the other ways most nodes end the
   * connection a second later. Whoever needs a half-close carries it inside.
   *
   * A connection that is lost throws; only an end that the pod's side made reads as `null`. `signal` ends the opening
   * alone.
   */
  portForward(pod: ObjectName, port: number, options?: PortForwardOptions): Promise<Duplex>;
  /** Runs a command in a pod to its end; no shell is involved. */
  exec(pod: ObjectName, options: ExecOptions): Promise<ExecResult>;
  /**
   * Runs a command in a pod and gives its standard output to read and its standard input to write. A read gives `null`
   * when it has ended with exit code 0, and throws an `ExecError` for any other. `closeWrite` ends its input where the
   * server can pass that on (1.30 and later) and does nothing where it cannot. Closing does not end the command.
   */
  execStream(pod: ObjectName, options: ExecStreamOptions): Promise<Duplex>;
  /**
   * Whether the server would let us, as far as it can say beforehand (a SelfSubjectAccessReview): advice, since
   * authorizers may differ for the request itself.
   */
  mayI(access: AccessQuestion, options?: CallOptions): Promise<boolean>;
  /**
   * Tries whether connections can change to WebSocket, as port-forwards do; throws a `UserError` that says what kept
   * them from it, a `KubeError` where we may not watch pods.
   */
  tryUpgrade(where?: { readonly namespace?: string }, options?: CallOptions): Promise<void>;
  /** Every namespaced resource that the server can list, in the version that it prefers. */
  discover(options?: CallOptions): Promise<Resource<KubeObject>[]>;
}

/** One thing that one may be allowed to do. */
export interface AccessQuestion {
  readonly verb: "get" | "list" | "watch" | "create" | "update" | "patch" | "delete";
  readonly resource: Pick<Resource<unknown>, "group" | "plural" | "namespaced">;
  /** `portforward`, `exec`, `log`. @default {the object itself} */
  readonly subresource?: string;
  /** @default {the configuration's namespace} */
  readonly namespace?: string;
  /** @default {any name} */
  readonly name?: string;
}

/** An object to be stored: any fields, a name (or `generateName`) and maybe a namespace. */
export interface NewObject {
  readonly metadata: {
    readonly name?: string;
    readonly generateName?: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}
