import { messageOf, UserError } from "@/util/mod.ts";
import type { Log } from "@/log/mod.ts";
import { openCertificateFiles } from "./certificate_files.ts";
import type { ClusterConfig, Credentials } from "./cluster_config.ts";
import { openExecPlugin, type PluginRunner } from "./exec_plugin.ts";
import type { CredentialSource, Identity } from "./identity.ts";

/** How long a token from a file is taken for the current one, as client-go does. */
const TOKEN_FILE_MS = 60_000;

/** What a source of credentials is made with. */
export interface CredentialOptions {
  readonly log?: Log;
  readonly pluginRunner?: PluginRunner;
  /** The clock that the age of a token from a file is told by, in milliseconds. @default {performance.now} */
  readonly now?: () => number;
}

/** The source for `cluster`. Nothing is attached on the way to a server without TLS, as kubectl does. */
export function openCredentials(cluster: ClusterConfig, options: CredentialOptions = {}): CredentialSource {
  const { tls: { clientCertificate, clientCertificateFiles } } = cluster;
  if (!cluster.server.startsWith("https:")) return fixed([]);
  const source = openSource(cluster.credentials, options);
  if (clientCertificate === undefined || clientCertificateFiles === undefined) return source;
  return openCertificateFiles(clientCertificateFiles, clientCertificate, source, options);
}

function openSource(
  credentials: Credentials,
  { now = () => performance.now(), ...options }: CredentialOptions,
): CredentialSource {
  switch (credentials.kind) {
    case "none":
      return fixed([]);
    case "token":
      return fixed([["Authorization", `Bearer ${credentials.token}`]]);
    case "basic":
      return fixed([["Authorization", `Basic ${basic(credentials.username, credentials.password)}`]]);
    case "token-file":
      return tokenFile(credentials, now);
    case "exec":
      return openExecPlugin(credentials, options);
  }
}

/** User and password as HTTP wants them (RFC 7617, UTF-8). */
export function basic(username: string, password: string): string {
  return new TextEncoder().encode(`${username}:${password}`).toBase64();
}

function fixed(headers: Identity["headers"]): CredentialSource {
  const identity = { headers };
  return { identity: () => Promise.resolve(identity), refused: () => false, [Symbol.dispose]() {} };
}

function tokenFile({ path, token: first }: { path: string; token?: string }, now: () => number): CredentialSource {
  let held: { identity: Identity; until: number } | undefined;
  return {
    async identity() {
      if (held !== undefined && now() < held.until) return held.identity;
      const token = await readToken(path).catch((error) => {
        if (first === undefined) throw error;
        return first;
      });
      const identity: Identity = { headers: [["Authorization", `Bearer ${token}`]] };
      held = { identity, until: now() + TOKEN_FILE_MS };
      return identity;
    },
    refused(identity) {
      if (held?.identity === identity) held = undefined;
      return true;
    },
    [Symbol.dispose]() {},
  };
}

async function readToken(path: string): Promise<string> {
  let token: string;
  try {
    token = (await Deno.readTextFile(path)).trim();
  } catch (cause) {
    throw new UserError(`Cannot read the token file "${path}": ${messageOf(cause)}`, { cause });
  }
  if (token === "") throw new UserError(`Cannot use the token file "${path}": it is empty`);
  return token;
}
