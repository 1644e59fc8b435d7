import {
  type Capture,
  chooseMethod,
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
import type { Around } from "./session.ts";

/** What a session tells its method. */
export type CaptureOptions = Omit<NamespaceOptions, "helper" | "directories">;

/** A method that was chosen and not yet started. */
export interface ChosenCapture {
  readonly method: MethodName;
  /** What the user hears of it: the method, its reason where it was our choice, its limits. */
  readonly announcement: string;
  /** Starts carrying. */
  start(pod: Pod, options: CaptureOptions): Promise<Capture>;
}

/**
 * Chooses how the command is captured, from what this machine allows and what the command is.
 *
 * @param program the command's first word
 * @param wanted `--method`, if it was given
 * @throws {UserError} when nothing can carry it, or not what is wanted
 */
export async function chooseCapture(
  program: string,
  wanted: MethodName | undefined,
  { shim, env, netns = () => Promise.resolve(undefined) }: Pick<Around, "shim" | "env" | "netns">,
): Promise<ChosenCapture> {
  const refusal = await refusalOf(program, { path: env["PATH"] ?? "" });
  const wantedDirectory = env["TMPDIR"]?.startsWith("/") ? [env["TMPDIR"]] : []; // the relay works in another directory
  const directories = [...new Set([...wantedDirectory, "/tmp", "/var/tmp"])];
  const { method, reason } = await chooseMethod({
    ...(wanted && { wanted }),
    ...(refusal && { refusal }),
    hasShim: shim !== undefined,
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
    async start(pod, options) {
      if (method === "inject-tcp" && shim !== undefined) return await startInject(pod, { ...options, shim });
      const helper = await netns();
      if (helper === undefined) throw new UserError(`Cannot use --method ${method}: its program is not here`);
      return await startNamespace(pod, { ...options, helper, directories });
    },
  };
}

/** `a, b, and c`. */
function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(", ")}, and ${words.at(-1)}`;
}
