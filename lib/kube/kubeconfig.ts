/**
 * From kubeconfig files to the configuration of one cluster, as kubectl finds and reads them.
 * {@link https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/}
 *
 * @module
 */
import { type Log, silentLog } from "@/log/mod.ts";
import { abortable, reasonOf, UserError } from "@/util/mod.ts";
import { join, resolve } from "node:path";
import type {
  CertificateFiles,
  ClientCertificate,
  ClusterConfig,
  Credentials,
  Impersonation,
  TlsConfig,
} from "./cluster_config.ts";
import { execCredentials } from "./exec_credentials.ts";
import { loadInCluster } from "./in_cluster.ts";
import {
  type ClusterEntry,
  type ContextEntry,
  type Kubeconfig,
  mergeKubeconfigs,
  parseKubeconfig,
  type UserEntry,
} from "./kubeconfig_file.ts";
import { requireCertificates, requirePrivateKey } from "./pem.ts";
import { chooseProxy } from "./proxy_choice.ts";

/** Where {@linkcode loadKubeconfig} looks. */
export interface KubeconfigOptions {
  /** The environment: `KUBECONFIG`, `HOME`, `HTTPS_PROXY` and its relatives, `KUBERNETES_SERVICE_HOST`. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The user's folder. @default {HOME, or USERPROFILE, of `env`} */
  readonly home?: string;
  /** The only file to look at (`--kubeconfig`). */
  readonly path?: string;
  /** The context to use. @default {the file's current-context} */
  readonly context?: string;
  /** Folder of a pod's service account, for the fallback inside a cluster. */
  readonly serviceAccountFolder?: string;
  readonly log?: Log;
  readonly signal?: AbortSignal;
}

/**
 * Finds, reads, merges and checks kubeconfig files, and chooses a context; without any file, a pod's own service
 * account is used.
 *
 * @throws {UserError} when there is no configuration, a file cannot be read or used, the context is unknown, or what it
 * names contradicts itself
 */
export async function loadKubeconfig(options: KubeconfigOptions): Promise<ClusterConfig> {
  // A file may keep its reader waiting without end: a pipe that nobody writes to, a home on a server that is away.
  return await abortable(load(options), options.signal);
}

async function load(options: KubeconfigOptions): Promise<ClusterConfig> {
  const { env } = options;
  const paths = candidatePaths(options);
  const { merged, found } = await readFiles(paths, options);
  const empty = merged.contexts.size === 0 && merged.clusters.size === 0 && merged.currentContext === "";
  if (empty && options.context === undefined) {
    const inside = await loadInCluster(env, options.serviceAccountFolder);
    if (inside !== undefined) return inside;
  }
  if (empty) throw nothingFound(paths, found);
  return await resolveContext(merged, options.context, env);
}

/**
 * The names of the contexts that {@linkcode loadKubeconfig} would choose from, the current one first.
 *
 * @throws {UserError} when a file cannot be read or used
 */
export async function listContexts(options: KubeconfigOptions): Promise<string[]> {
  const { merged: { contexts, currentContext } } = await readFiles(candidatePaths(options), options);
  const names = [...contexts.keys()];
  return [...names.filter((name) => name === currentContext), ...names.filter((name) => name !== currentContext)];
}

/** Reads those of the files that are there, and merges them. */
async function readFiles(
  paths: readonly string[],
  { path: only, log = silentLog, signal }: KubeconfigOptions,
): Promise<{ readonly merged: Kubeconfig; readonly found: number }> {
  const files: Kubeconfig[] = [];
  for (const path of paths) {
    signal?.throwIfAborted();
    const content = await readIfThere(path);
    if (content !== undefined) files.push(parseKubeconfig(content, path));
    else if (only !== undefined) {
      throw new UserError(`Cannot read the kubeconfig "${path}": there is no such file`);
    } else log.debug(`no kubeconfig at ${path}`);
  }
  return { merged: mergeKubeconfigs(files), found: files.length };
}

/** Paths to look at, the most important first, each once, absolute. */
function candidatePaths({ env, home = env.HOME || env.USERPROFILE, path }: KubeconfigOptions): string[] {
  if (path !== undefined) return [resolve(path)];
  const listed = (env.KUBECONFIG ?? "").split(Deno.build.os === "windows" ? ";" : ":").filter((entry) => entry !== "");
  if (listed.length > 0) return [...new Set(listed.map((entry) => resolve(entry)))];
  return home === undefined || home === "" ? [] : [join(home, ".kube", "config")];
}

function nothingFound(paths: readonly string[], found: number): UserError {
  const where = paths.length === 0 ? "KUBECONFIG and HOME are not set" : `looked at ${paths.map(quote).join(", ")}`;
  return new UserError(
    found > 0
      ? `Cannot use the kubeconfig ${paths.map(quote).join(", ")}: it is empty`
      : `Cannot find a kubeconfig: ${where}`,
    { hints: ["Name one: export KUBECONFIG=/path/to/kubeconfig", "See what kubectl uses: kubectl config view"] },
  );
}

async function resolveContext(
  kubeconfig: Kubeconfig,
  wanted: string | undefined,
  env: KubeconfigOptions["env"],
): Promise<ClusterConfig> {
  const contextName = wanted ?? kubeconfig.currentContext;
  if (contextName === "") {
    throw new UserError("No current-context set. Please use the --context option to explicitly set the context.", {
      hints: [contextsThereAre(kubeconfig), "Or set one: kubectl config use-context NAME"],
    });
  }
  const context = kubeconfig.contexts.get(contextName);
  if (context === undefined) {
    throw new UserError(`Cannot use the context "${contextName}": the kubeconfig has no such context`, {
      hints: [contextsThereAre(kubeconfig)],
    });
  }
  const cluster = requireCluster(kubeconfig, context);
  const user = requireUser(kubeconfig, context);
  const tls = await tlsOf(cluster, user);
  const server = serverOf(cluster);
  const impersonate = user && impersonationOf(user);
  const proxy = chooseProxy(server, cluster.value["proxy-url"], env, `"proxy-url" of ${called("cluster", cluster)}`);
  return {
    contextName,
    clusterName: cluster.name,
    userName: context.value.user,
    namespace: context.value.namespace || "default",
    server,
    tls,
    credentials: user === undefined ? { kind: "none" } : credentialsOf(user, cluster, server, tls),
    ...(impersonate && { impersonate }),
    ...(proxy !== undefined && { proxy }),
  };
}

function requireCluster(kubeconfig: Kubeconfig, context: ContextEntry): ClusterEntry {
  const cluster = kubeconfig.clusters.get(context.value.cluster);
  if (cluster !== undefined) return cluster;
  const named = context.value.cluster;
  throw new UserError(
    `Cannot use the context "${context.name}": ${named ? `there is no cluster "${named}"` : "it names no cluster"}`,
    { hints: [`It stands in ${context.file}`, "See what there is: kubectl config get-clusters"] },
  );
}

function requireUser(kubeconfig: Kubeconfig, context: ContextEntry): UserEntry | undefined {
  const user = kubeconfig.users.get(context.value.user);
  if (user !== undefined || context.value.user === "") return user;
  throw new UserError(`Cannot use the context "${context.name}": there is no user "${context.value.user}"`, {
    hints: [`It stands in ${context.file}`, "See what there is: kubectl config get-users"],
  });
}

async function tlsOf(cluster: ClusterEntry, user: UserEntry | undefined): Promise<TlsConfig> {
  const caCerts = await contentOf(cluster, "certificate-authority", called("cluster", cluster), requireCertificates);
  const skipVerify = cluster.value["insecure-skip-tls-verify"];
  if (skipVerify && caCerts !== undefined) {
    throw new UserError(
      `Cannot use ${called("cluster", cluster)}: it has both "insecure-skip-tls-verify" and a certificate authority`,
      { hints: [`Unset one: kubectl config set-cluster ${cluster.name} --insecure-skip-tls-verify=false`] },
    );
  }
  const clientCertificate = user && await clientCertificateOf(user);
  const files = user && certificateFilesOf(user);
  return {
    skipVerify,
    ...(caCerts !== undefined && { caCerts }),
    ...(cluster.value["tls-server-name"] !== "" && { serverName: cluster.value["tls-server-name"] }),
    ...(clientCertificate && { clientCertificate }),
    ...(clientCertificate && files && { clientCertificateFiles: files }),
  };
}

/** The files that a certificate and its key are read from, undefined where both stand in the kubeconfig itself. */
function certificateFilesOf({ value, folder }: UserEntry): CertificateFiles | undefined {
  const path = (name: "client-certificate" | "client-key") =>
    value[`${name}-data`] === "" && value[name] !== "" ? resolve(folder, value[name]) : undefined;
  const [cert, key] = [path("client-certificate"), path("client-key")];
  if (cert === undefined && key === undefined) return undefined;
  return { ...(cert !== undefined && { cert }), ...(key !== undefined && { key }) };
}

async function clientCertificateOf(user: UserEntry): Promise<ClientCertificate | undefined> {
  const what = called("user", user);
  const cert = await contentOf(user, "client-certificate", what, requireCertificates);
  const key = await contentOf(user, "client-key", what, requirePrivateKey);
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined) throw new UserError(`Cannot use ${what}: it has a client key and no client certificate`);
  if (key === undefined) throw new UserError(`Cannot use ${what}: it has a client certificate and no client key`);
  return { cert, key };
}

/** PEM from the field `<name>-data`, or else from the file that the field `<name>` names; undefined without either. */
async function contentOf<N extends string>(
  entry: { value: Record<N | `${N}-data`, string>; folder: string },
  name: N,
  owner: string,
  require: (text: string, what: string) => string,
): Promise<string | undefined> {
  const inline = entry.value[`${name}-data`];
  if (inline !== "") {
    const what = `"${name}-data" of ${owner}`;
    try {
      return require(new TextDecoder().decode(Uint8Array.fromBase64(inline)), what);
    } catch (cause) {
      if (cause instanceof UserError) throw cause;
      throw new UserError(`Cannot use ${what}: it is not base64`, { cause });
    }
  }
  if (entry.value[name] === "") return undefined;
  const path = resolve(entry.folder, entry.value[name]);
  const what = `"${name}" of ${owner} (${path})`;
  let content: string;
  try {
    content = await Deno.readTextFile(path);
  } catch (cause) {
    throw new UserError(`Cannot read ${what}: ${reasonOf(cause)}`, { cause });
  }
  return require(content, what);
}

/**
 * The server's address: `http` where no scheme is written (kubectl looks at no authority for that), no query, no
 * fragment, no slash at its end.
 */
function serverOf(cluster: ClusterEntry): string {
  const written = cluster.value.server;
  const what = called("cluster", cluster);
  if (written === "") throw new UserError(`Cannot use ${what}: it has no server`);
  const address = /^[a-z][a-z0-9+.-]*:\/\//i.test(written) ? written : `http://${written}`;
  const url = URL.parse(address);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new UserError(`Cannot use ${what}: its server "${written}" is not an http or https address`);
  }
  return `${url.protocol}//${url.host}${url.pathname.replace(/\/+$/, "")}`;
}

function credentialsOf(user: UserEntry, cluster: ClusterEntry, server: string, tls: TlsConfig): Credentials {
  const { token, tokenFile, username, password, exec, "auth-provider": provider } = user.value;
  const what = called("user", user);
  if (provider) throw authProviderGone(provider.name, what, exec !== undefined && exec !== null);
  const bearer = token !== "" || tokenFile !== "";
  const basic = username !== "" || password !== "";
  if (bearer && basic) {
    throw new UserError(`Cannot use ${what}: it has a token and a user name with password, of which one is allowed`);
  }
  if (tokenFile !== "") {
    const path = resolve(user.folder, tokenFile);
    return { kind: "token-file", path, ...(token !== "" && { token }) };
  }
  if (token !== "") return { kind: "token", token };
  if (basic) return { kind: "basic", username, password };
  if (!exec) return { kind: "none" };
  return execCredentials(exec, { what, folder: user.folder, cluster, server, tls });
}

function impersonationOf(user: UserEntry): Impersonation | undefined {
  const { as, "as-uid": uid, "as-groups": groups, "as-user-extra": extra } = user.value;
  if (as !== "") return { user: as, ...(uid !== "" && { uid }), groups, extra };
  if (uid === "" && groups.length === 0 && Object.keys(extra).length === 0) return undefined;
  throw new UserError(
    `Cannot use ${called("user", user)}: it has "as-uid", "as-groups" or "as-user-extra" without "as"`,
  );
}

function authProviderGone(name: string, what: string, alsoExec: boolean): UserError {
  const instead: Record<string, string> = {
    gcp: "Install the plugin and fetch the credentials anew: gcloud container clusters get-credentials CLUSTER",
    azure: "Convert the kubeconfig: kubelogin convert-kubeconfig",
    oidc: "Use an exec plugin for OpenID Connect instead: kubectl oidc-login setup",
  };
  const state = alsoExec
    ? 'it has both "exec" and "auth-provider"'
    : `its "auth-provider" ${quote(name)} is no longer supported`;
  return new UserError(`Cannot use ${what}: ${state} (kubectl has dropped these in 1.26)`, {
    hints: [instead[name] ?? "Use an exec credential plugin instead"],
  });
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return undefined;
    throw new UserError(`Cannot read the kubeconfig "${path}": ${reasonOf(cause)}`, {
      hints: [`Look at its owner and mode: ls -l ${path}`],
      cause,
    });
  }
}

function contextsThereAre({ contexts }: Kubeconfig): string {
  return contexts.size === 0 ? "It has no contexts" : `Contexts there are: ${[...contexts.keys()].join(", ")}`;
}

function called(kind: string, { name, file }: { name: string; file: string }): string {
  return `the ${kind} "${name}" of ${file}`;
}

function quote(text: string): string {
  return `"${text}"`;
}
