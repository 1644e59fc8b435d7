import type { Authorities, openKubeClient, RuntimeAuthorities } from "@/kube/mod.ts";
import type { Log } from "@/log/mod.ts";
import type { Teller } from "./teller.ts";

/** What a session is given by the program around it. */
export interface Around {
  readonly log: Log;
  /** Tells the user: `say` what must be known, `chat` what is good to know. */
  readonly teller: Teller;
  /** Ends the session early; its reason is what `runSession` throws. Clean-up does not listen to it. */
  readonly signal: AbortSignal;
  readonly env: Readonly<Record<string, string>>;
  readonly home: string;
  /**
   * Told whose authorities the API server's certificate may be of, before anything is asked of it; says whom the runtime
   * trusts by itself from then on.
   *
   * @default {those that it trusts anyhow}
   */
  chooseAuthorities?(wanted: Authorities): RuntimeAuthorities;
  /** Takes a getter of what would be left in the cluster if the process ended now. */
  onLeftovers(names: () => readonly string[]): void;
  readonly version: string;
  /** The agent's program, one JavaScript file. */
  readonly agentSource: string;
  /** The agent's image where the user does not name another registry. */
  readonly agentImage: string;
  /** How this program is started again, as the guardian; without it a session has none. */
  readonly self?: (args: readonly string[]) => readonly [string, ...string[]];
  /** The user's terminal, as a path, for the guardian's words; undefined where there is none. */
  readonly terminal?: string | undefined;
  /** Writes what was asked for to the standard output. */
  print(text: string): void;
  /** Asks the user; undefined where nobody can answer. */
  readonly ask?: (question: string) => Promise<boolean>;
  /** The preload library for this machine, undefined where there is none. */
  readonly shim: Uint8Array<ArrayBuffer> | undefined;
  /** The launcher for this machine, where there is one: without it the command shares our process group. */
  readonly launcher?: Uint8Array<ArrayBuffer> | undefined;
  /** Gives the program that makes namespaces on this machine, undefined where there is none. */
  readonly netns?: () => Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** The machine that this runs on. @default {this one} */
  readonly machine?: { readonly os: string; readonly arch: string };
  /** How the API server is spoken to. @default {openKubeClient} */
  readonly openKube?: typeof openKubeClient;
  /** How long the proxy may take to run. @default {120 s} */
  readonly readyMs?: number;
  /** How long its agent may then take to answer. @default {30 s} */
  readonly connectMs?: number;
  /** How long the API server may take to answer a create. @default {30 s} */
  readonly createMs?: number;
  /** How long the clean-up may take. @default {10 s} */
  readonly cleanUpMs?: number;
  /** How long a session whose workload is taken over may take to say that it has heard. @default {10 s} */
  readonly heardWithinMs?: number;
}
