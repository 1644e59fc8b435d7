import { UserError } from "@/util/mod.ts";
import { resolve } from "node:path";
import type { ExecCredentials, TlsConfig } from "./cluster_config.ts";
import type { ClusterEntry, UserEntry } from "./kubeconfig_file.ts";

type ExecEntry = NonNullable<UserEntry["value"]["exec"]>;

/** Group of the API that plugins speak. */
const GROUP = "client.authentication.k8s.io";

/** What stands around an `exec` section. */
export interface ExecPlace {
  /** Names the user in an error. */
  readonly what: string;
  /** Where a relative command begins. */
  readonly folder: string;
  readonly cluster: ClusterEntry;
  readonly server: string;
  readonly tls: TlsConfig;
}

/**
 * Checks the `exec` section of a user.
 *
 * @throws {UserError} when it has no command, another version than v1 or v1beta1, or no `interactiveMode` in v1
 */
export function execCredentials(entry: ExecEntry, { what, folder, cluster, server, tls }: ExecPlace): ExecCredentials {
  const refuse = (state: string, ...hints: string[]) =>
    new UserError(`Cannot use ${what}: its exec plugin ${state}`, { hints });
  if (entry.command === "") throw refuse("has no command");
  const version = entry.apiVersion;
  if (version === `${GROUP}/v1alpha1`) {
    throw refuse(
      `speaks ${version}, which kubectl has dropped in 1.24`,
      "On EKS, write the kubeconfig anew: aws eks update-kubeconfig --name CLUSTER",
    );
  }
  if (version !== `${GROUP}/v1` && version !== `${GROUP}/v1beta1`) {
    throw refuse(version === "" ? "has no apiVersion" : `has an unknown apiVersion "${version}"`, `Use ${GROUP}/v1`);
  }
  const interactiveMode = entry.interactiveMode || (version === `${GROUP}/v1beta1` ? "IfAvailable" : "");
  if (interactiveMode !== "Never" && interactiveMode !== "IfAvailable" && interactiveMode !== "Always") {
    throw refuse(
      interactiveMode === ""
        ? "has no interactiveMode, which v1 asks for"
        : `has an unknown interactiveMode "${interactiveMode}"`,
      'Set "interactiveMode" to Never, IfAvailable or Always',
    );
  }
  return {
    kind: "exec",
    apiVersion: version,
    // A bare name is looked for in PATH; whatever has a slash begins at the kubeconfig's folder.
    command: /[\\/]/.test(entry.command) ? resolve(folder, entry.command) : entry.command,
    args: entry.args,
    env: Object.fromEntries(entry.env.map(({ name, value }) => [name, value])),
    interactiveMode,
    ...(entry.installHint !== "" && { installHint: printable(entry.installHint) }),
    ...(entry.provideClusterInfo && { cluster: clusterInfo(cluster, server, tls) }),
  };
}

/** Text of others that goes to a terminal: without control characters. */
function printable(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/\x1b\[[0-9;?]*[A-Za-z]/g, "").replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, "").trim();
}

/** {@link https://kubernetes.io/docs/reference/config-api/client-authentication.v1/#client-authentication-k8s-io-v1-Cluster} */
function clusterInfo({ value }: ClusterEntry, server: string, { caCerts, skipVerify, serverName }: TlsConfig): unknown {
  return {
    server,
    ...(serverName !== undefined && { "tls-server-name": serverName }),
    ...(skipVerify && { "insecure-skip-tls-verify": true }),
    ...(caCerts !== undefined && { "certificate-authority-data": new TextEncoder().encode(caCerts).toBase64() }),
    ...(value["proxy-url"] !== "" && { "proxy-url": value["proxy-url"] }),
    config: value.pluginConfig ?? null,
  };
}
