/**
 * A client of the Kubernetes API that goes where kubectl goes: kubeconfig files, credentials, requests, watches, and
 * streams to pods.
 *
 * ```ts
 * import { loadKubeconfig, openKubeClient, pods } from "@/kube/mod.ts";
 *
 * const config = await loadKubeconfig({ env: Deno.env.toObject() });
 * await using kube = openKubeClient(config);
 * const { items } = await kube.list(pods, { labelSelector: "app=web" });
 * ```
 *
 * Invariant: no word of the product; what is here could be published alone.
 *
 * @module
 */
export { ProtocolError } from "./byte_reader.ts";
export type {
  AccessQuestion,
  CallOptions,
  ChangeOptions,
  ContainerName,
  DeleteOptions,
  KubeClient,
  KubeVersion,
  LogOptions,
  NewObject,
  Patch,
} from "./kube_client.ts";
export { type ClientOptions, openKubeClient } from "./open_kube_client.ts";
export type {
  ClientCertificate,
  ClusterConfig,
  Credentials,
  ExecCredentials,
  Impersonation,
  TlsConfig,
} from "./cluster_config.ts";
export type { PluginRunner } from "./exec_plugin.ts";
export type { ExecOptions, ExecResult } from "./exec.ts";
export { type KubeconfigOptions, loadKubeconfig } from "./kubeconfig.ts";
export * from "./objects.ts";
export { ExecError, type ExecStreamOptions } from "./exec_stream.ts";
export { retryOnConflict } from "./retry_on_conflict.ts";
export { PortForwardError } from "./port_forward.ts";
export type { PortForwardOptions, PortForwardWay } from "./port_forwarder.ts";
export {
  apiVersionOf,
  type KeptObject,
  type KubeObject,
  type Metadata,
  type ObjectName,
  type OwnerReference,
  type Resource,
  untyped,
} from "./resource.ts";
export {
  isAlreadyExists,
  isConflict,
  isForbidden,
  isGone,
  isInvalid,
  isNotFound,
  isUnauthorized,
  KubeError,
  type StatusCause,
} from "./status.ts";
export type { Selection, WatchEvent, WatchSelection } from "./watch.ts";
