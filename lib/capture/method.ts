import type { Pod } from "@/pod/mod.ts";
import type { Duplex } from "@/util/mod.ts";

/**
 * A way to make a process use the pod's network. Each is a value of this shape; which one a session uses is a flag.
 */
export interface Method {
  /** The word after `--method`. */
  readonly name: "inject-tcp" | "vpn-tcp" | "namespace" | "container";
  /** What it cannot do, one sentence each; help and docs print them from here. */
  readonly limits: readonly string[];
  /**
   * Refuses a program that the method cannot carry, before anything is started: a program that would go around the pod
   * in silence is worse than one that does not start.
   *
   * @param program the first word of the command, as a shell would look it up
   * @throws {UserError} that names the reason and what will work
   */
  requireCarriable(program: string, options: ProgramOptions): Promise<void>;
  /** Starts carrying: from here on a process that is launched with `environment` uses the pod's network. */
  start(pod: Pod, options?: { readonly signal?: AbortSignal }): Promise<Capture>;
}

/** Where a program is looked for. */
export interface ProgramOptions {
  /** The value of `PATH` that the program will be launched with. */
  readonly path: string;
  /** The directory that it will be launched in. @default {the current one} */
  readonly cwd?: string;
}

/** A file or directory of the pod: its path there, and where it is on the host. Absolute, no slash at their ends. */
export interface FilePath {
  readonly pod: string;
  readonly host: string;
}

/** What of the pod is known once it runs. */
export interface PodView {
  /** Its volumes. */
  readonly files: readonly FilePath[];
  /** Its addresses. */
  readonly addresses: readonly string[];
}

/** A method at work. Disposing it ends every connection that goes through it. */
export interface Capture extends AsyncDisposable {
  /** The environment for the process that is to be carried: what it would be launched with, and what makes it ours. */
  environment(inherited: Readonly<Record<string, string>>): Record<string, string>;
  /**
   * Has processes that are launched from now on find files of the pod at their paths in the pod, and its addresses for
   * their own, where the method can. Files that programs of the host need for themselves stay the host's.
   *
   * @returns the paths that are not the pod's, with the reason; all of them where the method cannot
   */
  show(pod: PodView): Promise<readonly { readonly path: string; readonly reason: string }[]>;
  /** The words that launch a command so that it is carried: itself, or a program that becomes it. */
  command(words: readonly [string, ...string[]]): readonly [string, ...string[]];
  /**
   * Connects to a port on which the carried process listens on its loopback.
   *
   * @throws {DialError} when nothing listens there
   */
  connect(port: number): Promise<Duplex>;
  /** Ports of the process that were put on the host's loopback, where they are not there by themselves. */
  readonly published: readonly number[];
  /** Resolves at disposal; rejects when the method cannot go on, with the first reason. */
  readonly closed: Promise<void>;
}
