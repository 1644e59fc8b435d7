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
 * How it hangs together, from the wire up: `dial` opens a connection (proxy, TLS of any kind) · `http` and `byte_reader`
 * speak HTTP/1.1 on it · `api` sends requests with credentials, uses connections again, retries · `websocket` and `spdy`
 * carry streams after an upgrade, `port_forward`, `spdy_port_forward` and `exec` are what Kubernetes says on those, and
 * `port_forwarder` takes the one that the server accepts · `open_kube_client` puts resources (`objects`) on top. Beside
 * that way, `kubeconfig` makes the plain `ClusterConfig` that all of it starts from. Everything that is read is pulled by
 * whoever wants it: back-pressure holds from end to end.
 *
 * What cannot be reached, used or done throws a `UserError` with next steps; what the API server refuses throws a
 * `KubeError`, which is one too and keeps the server's own words.
 *
 * Invariants: no word of the product, what is here could be published alone; nothing reads the environment of the
 * process; no secret is logged.
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
  PatientOptions,
} from "./kube_client.ts";
export { type ClientOptions, openKubeClient } from "./open_kube_client.ts";
export type {
  CertificateFiles,
  ClientCertificate,
  ClusterConfig,
  Credentials,
  ExecCredentials,
  Impersonation,
  TlsConfig,
} from "./cluster_config.ts";
export { type Authorities, authoritiesOf, type RuntimeAuthorities } from "./dial.ts";
export type { PluginRun, PluginRunner } from "./exec_plugin.ts";
export type { ExecOptions, ExecResult } from "./exec.ts";
export { type KubeconfigOptions, listContexts, loadKubeconfig } from "./kubeconfig.ts";
export * from "./objects.ts";
export { ExecError, type ExecStreamOptions } from "./exec_stream.ts";
export { retryOnConflict } from "./retry_on_conflict.ts";
export { PortForwardError } from "./port_forward.ts";
export type { PortForwardExec, PortForwardOptions, PortForwardWay } from "./port_forwarder.ts";
export {
  anyResource,
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
  isNamespaceTerminating,
  isNotFound,
  isUnauthorized,
  KubeError,
  type StatusCause,
} from "./status.ts";
export { type ContainerEnd, lastEnd, type PodState, podState, type PodTrouble } from "./pod_state.ts";
export { newestPod, podEvents, type PodWait, waitForPod } from "./wait_for_pod.ts";
export type { Selection, WatchEvent, WatchSelection } from "./watch.ts";
