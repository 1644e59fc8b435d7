/**
 * The waist: what the host can ask of the pod, as an interface, as messages on streams, and as a client of both.
 *
 * Invariant: knows neither Kubernetes nor who asks.
 *
 * @module
 */
export {
  type Address,
  type Answer,
  DialError,
  EAI_NAMES,
  type EaiName,
  ERRNO_NAMES,
  type ErrnoName,
  type Family,
  type ListenOptions,
  LookupError,
  type LookupOptions,
  type Pod,
  type PodConnection,
  type PodListener,
  type Waiting,
} from "./pod.ts";
export {
  AgentRequest,
  decodeMessage,
  encodeMessage,
  HostRequest,
  LookupReply,
  toEaiName,
  toErrnoName,
} from "./messages.ts";
export { type LinkedPod, openPod } from "./pod_client.ts";
