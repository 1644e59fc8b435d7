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
  type Caller,
  type DatagramFlow,
  DialError,
  type DnsAnswer,
  EAI_NAMES,
  type EaiName,
  ERRNO_NAMES,
  type ErrnoName,
  type Family,
  type FilesOptions,
  type Introduction,
  type ListenOptions,
  LookupError,
  type LookupOptions,
  type Pod,
  type PodConnection,
  type PodFiles,
  type PodListener,
  type PodSession,
  type Waiting,
} from "./pod.ts";
export {
  AgentRequest,
  decodeMessage,
  encodeAnswer,
  encodeMessage,
  FilesReply,
  HostRequest,
  LookupReply,
  Sessions,
  toEaiName,
  toErrnoName,
} from "./messages.ts";
export { DatagramReader, encodeDatagram, MAX_DATAGRAM_BYTES } from "./datagram.ts";
export { type LastingOptions, openLastingPod } from "./lasting_pod.ts";
export { type LinkedPod, openPod, type PodOptions } from "./pod_client.ts";
export {
  type Attributes,
  EXTENSIONS,
  FieldReader,
  MAX_PACKET_BYTES,
  OPEN,
  OPEN_AND_READ,
  type Packet,
  PacketReader,
  PacketWriter,
  SFTP,
  SFTP_VERSION,
  SftpError,
  STATUS,
  type Status,
} from "./sftp.ts";
export { decodeSftpRequest, type SftpChange, type SftpRequest } from "./sftp_request.ts";
export { type Flow, LiveFlow, type Observer } from "./observer.ts";
