import {
  type Capture,
  chooseMethod,
  hasMethods,
  type InjectOptions,
  METHOD_FACTS,
  type MethodName,
  type NamespaceOptions,
  probeNamespace,
  refusalOf,
  startInject,
  startNamespace,
} from "@/capture/mod.ts";
import type { Pod } from "@/pod/mod.ts";
import { UserError } from "@/util/mod.ts";
import type { Around } from "../around.ts";
import { listenHere } from "../listen_here.ts";
import { prepareVpn, type VpnPreparation } from "./vpn_capture.ts";

/** What a session tells its method. */
export type CaptureOptions =
  & Omit<NamespaceOptions, "helper" | "directories">
  & Pick<InjectOptions, "neededDirectories">;

/** A method that was chosen and not yet started. */
export interface ChosenCapture {
  readonly method: MethodName;
  /** What the user hears of it: the method, its reason where it was our choice, its limits. */
  readonly announcement: string;
  /**
   * Asks machine and cluster for what it takes, and the user for a password where it must be. Nothing changes yet.
   *
   * @throws {UserError} when it cannot be had
   */
  prepare(options: Omit<VpnPreparation, "helper" | "directories">): Promise<PreparedCapture>;
}

/** A method that can be started. Disposing it gives back what was had for it. */
export interface PreparedCapture extends AsyncDisposable {
  /** Starts carrying. */
  start(pod: Pod, options: CaptureOptions): Promise<Capture>;
}

/**
 * Chooses how the command is captured, from what this machine allows and what the command is.
 *
 * @param program the command's first word
 * @param wanted `--method`, if it was given
 * @param forPlan the command is not started: where no method can carry one, that is no obstacle
 * @throws {UserError} when nothing can carry it, or not what is wanted
 */
export async function chooseCapture(
  program: string,
  wanted: MethodName | undefined,
  { shim, env, home, netns = () => Promise.resolve(undefined), machine = Deno.build }: Pick<
    Around,
    "shim" | "env" | "home" | "netns" | "machine"
  >,
  { forPlan }: { readonly forPlan: boolean },
): Promise<ChosenCapture> {
  if (forPlan && !hasMethods(machine)) return PLAN_ALONE;
  const refusal = await refusalOf(program, { path: env["PATH"] ?? "" });
  const directories = placesFor(env);
  const { method, reason } = await chooseMethod({
    ...(wanted && { wanted }),
    ...(refusal && { refusal }),
    machine,
    hasShim: shim !== undefined,
    hasHelper: await netns() !== undefined,
    program,
    isRoot: Deno.uid() === 0,
    namespace: async () => await probeNamespace(await netns(), { directories }),
  });
  const announcement =
    `Starting proxy with method '${method}'${reason === undefined ? "" : ` (${reason})`}, which has ` +
    `the following limitations: ${listed(METHOD_FACTS[method].announced)} are not supported.`;
  return {
    method,
    announcement,
    async prepare(preparation) {
      const helper = async () => {
        const found = await netns();
        if (found === undefined) throw new UserError(`Cannot use --method ${method}: its program is not here`);
        return found;
      };
      if (method === "vpn-tcp") {
        const prepared = await prepareVpn({ ...preparation, helper: await helper(), directories });
        return {
          start: (pod, { log = preparation.log }) => prepared.start(pod, log),
          [Symbol.asyncDispose]: () => prepared[Symbol.asyncDispose](),
        };
      }
      if (method === "namespace") requireFree(preparation.wanted.publish ?? []);
      return {
        async start(pod, options) {
          if (method === "inject-tcp" && shim !== undefined) {
            return await startInject(pod, { ...options, shim, directories: shimPlaces(env, home) });
          }
          return await startNamespace(pod, { ...options, helper: await helper(), directories });
        },
        [Symbol.asyncDispose]: () => Promise.resolve(),
      };
    },
  };
}

/**
 * Ports that the user wants to find on this machine are bound with the command's network, but known to be free before
 * anything is made. An exposed one that is taken here is no obstacle: the cluster reaches the command all the same.
 *
 * @throws {UserError} when one is taken
 */
function requireFree(published: readonly number[]): void {
  for (const port of published) listenHere(port, `publish port ${port} on this machine`).close();
}

/** What a plan has on a system without any method: nothing of it is asked for. */
const PLAN_ALONE: ChosenCapture = {
  method: "inject-tcp",
  announcement: "",
  prepare: () => Promise.reject(new TypeError("What is planned alone cannot be started")),
};

/** Where programs and sockets of a session may be put, the most wanted first. */
export function placesFor(env: Readonly<Record<string, string>>): string[] {
  const wanted = env["TMPDIR"]?.startsWith("/") ? [env["TMPDIR"]] : []; // the relay works in another directory
  return [...new Set([...wanted, "/tmp", "/var/tmp"])];
}

/**
 * The same for the preload library and its socket: the user's cache comes first, which survives who cleans /tmp in the
 * middle of a session. A directory that is mounted noexec, has no room or too long a path is passed over.
 */
export function shimPlaces(env: Readonly<Record<string, string>>, home: string): string[] {
  const cache = env["XDG_CACHE_HOME"] || `${home}/.cache`;
  return [...new Set([...(cache.startsWith("/") ? [cache] : []), ...placesFor(env)])];
}

/** `a, b, and c`. */
function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(", ")}, and ${words.at(-1)}`;
}
