import { type Log, silentLog } from "@/log/mod.ts";
import { type Finished, runProgram } from "@/process/mod.ts";
import { abortable, UserError } from "@/util/mod.ts";
import * as z from "zod/mini";
import type { ExecCredentials } from "./cluster_config.ts";
import type { CredentialSource, Identity } from "./identity.ts";
import { requireCertificates, requirePrivateKey } from "./pem.ts";

/** How credential plugins are started. */
export interface PluginRunner {
  /** Whether a plugin that starts now finds a terminal at its standard input, to ask the user; asked at each start. */
  readonly interactive: boolean;
  /** Runs it to its end. Its standard error is for the user: show it as it comes, where there is one to see it. */
  run(command: readonly [string, ...string[]], options: PluginRun): Promise<Finished>;
}

/** How one run of a plugin is to be. */
export interface PluginRun {
  /** Variables added to our environment. */
  readonly env: Record<string, string>;
  /** Whether it gets our standard input; it has been told that it does. */
  readonly interactive: boolean;
  /** Ends it. */
  readonly signal: AbortSignal;
  readonly log: Log;
}

/** Without a terminal; what the plugin says goes to the log, its last words into the error. */
export const quietPluginRunner: PluginRunner = {
  interactive: false,
  run: (command, { env, signal, log }) => runProgram(command, { env, signal, log }),
};

/** An expired credential is not sent off in its last seconds: a request takes time to arrive. */
const LEEWAY_MS = 5_000;

/**
 * A plugin's answer.
 * {@link https://kubernetes.io/docs/reference/config-api/client-authentication.v1/#client-authentication-k8s-io-v1-ExecCredential}
 */
const answerSchema = z.object({
  apiVersion: z.string(),
  kind: z.literal("ExecCredential"),
  status: z.object({
    token: z._default(z.nullable(z.string()), ""),
    clientCertificateData: z._default(z.nullable(z.string()), ""),
    clientKeyData: z._default(z.nullable(z.string()), ""),
    expirationTimestamp: z.nullish(z.string()),
  }),
});

/** What a plugin gave, and until when it is good (milliseconds since 1970). */
interface Held {
  readonly identity: Identity;
  readonly expires: number;
}

/**
 * Credentials from a program: asked once, kept until they expire or are refused, however many ask at a time.
 */
export function openExecPlugin(
  plugin: ExecCredentials,
  options: { log?: Log; pluginRunner?: PluginRunner; now?: () => number } = {},
): CredentialSource {
  const { log = silentLog, pluginRunner: runner = quietPluginRunner, now = Date.now } = options;
  const ended = new AbortController();
  let held: Held | undefined;
  let asking: Promise<Identity> | undefined;

  return {
    async identity(signal) {
      if (held !== undefined && now() < held.expires - LEEWAY_MS) return held.identity;
      asking ??= ask().finally(() => asking = undefined);
      // The others go on waiting; a client that is closed waits for no program.
      return await abortable(asking, signal ? AbortSignal.any([signal, ended.signal]) : ended.signal);
    },
    refused(identity) {
      if (held?.identity === identity) held = undefined;
      return true;
    },
    [Symbol.dispose]() {
      ended.abort(new Error("Client was closed"));
    },
  };

  async function ask(): Promise<Identity> {
    const interactive = wantsTerminal(plugin, runner.interactive);
    const finished = await runPlugin(plugin, runner, { interactive, signal: ended.signal, log });
    held = readAnswer(plugin, finished.stdout);
    log.info(`Got credentials from "${plugin.command}"`);
    return held.identity;
  }
}

function wantsTerminal({ command, interactiveMode }: ExecCredentials, available: boolean): boolean {
  if (interactiveMode === "Always" && !available) {
    throw new UserError(`Cannot run the credential plugin "${command}": it asks for a terminal, and there is none`, {
      hints: ["Log in by kubectl first, if the plugin keeps what it got: kubectl version"],
    });
  }
  return available && interactiveMode !== "Never";
}

async function runPlugin(
  { command, args, env, apiVersion, cluster, installHint }: ExecCredentials,
  runner: PluginRunner,
  { interactive, signal, log }: { interactive: boolean; signal: AbortSignal; log: Log },
): Promise<Finished> {
  const spec = { ...(cluster !== undefined && { cluster }), interactive };
  const info = JSON.stringify({ apiVersion, kind: "ExecCredential", spec });
  const hints = installHint === undefined ? [] : installHint.split("\n");
  let finished: Finished;
  try {
    const variables = { ...env, KUBERNETES_EXEC_INFO: info };
    finished = await runner.run([command, ...args], { env: variables, interactive, signal, log });
  } catch (cause) {
    signal.throwIfAborted();
    const absent = cause instanceof Error && cause.cause instanceof Deno.errors.NotFound;
    const state = absent ? "it is not installed" : "it cannot be started";
    throw new UserError(`Cannot run the credential plugin "${command}": ${state}`, { hints, cause });
  }
  signal.throwIfAborted();
  const words = finished.stderr.trim().split("\n").slice(-5).join("\n");
  if (finished.code !== 0) {
    throw new UserError(
      `Cannot get credentials: the plugin "${command}" ended with exit status ${finished.code}${words && `: ${words}`}`,
      { hints: ["See whether kubectl gets them: kubectl version"] },
    );
  }
  if (words !== "") log.info(`${command}: ${words}`);
  return finished;
}

function readAnswer({ command, apiVersion }: ExecCredentials, stdout: string): Held {
  const refuse = (state: string) => new UserError(`Cannot use what the credential plugin "${command}" gave: ${state}`);
  const parsed = answerSchema.safeParse(parseJson(stdout));
  if (!parsed.success) throw refuse("it is no ExecCredential with a status");
  const answer = parsed.data;
  if (answer.apiVersion !== apiVersion) {
    throw refuse(`it is of version ${answer.apiVersion}, the kubeconfig asks for ${apiVersion}`);
  }
  const { token, clientCertificateData: cert, clientKeyData: key, expirationTimestamp } = answer.status;
  if (!token && !cert && !key) throw refuse("it has neither a token nor a client certificate");
  if (!cert !== !key) throw refuse("it has one of client certificate and key, and not the other");
  const expires = expirationTimestamp ? Date.parse(expirationTimestamp) : Infinity;
  if (Number.isNaN(expires)) throw refuse(`its expirationTimestamp "${expirationTimestamp}" is no date`);
  return {
    expires,
    identity: {
      headers: token ? [["Authorization", `Bearer ${token}`]] : [],
      ...(cert && key && {
        clientCertificate: {
          cert: requireCertificates(cert, `the certificate that the credential plugin "${command}" gave`),
          key: requirePrivateKey(key, `the key that the credential plugin "${command}" gave`),
        },
      }),
    },
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
