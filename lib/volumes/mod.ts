/**
 * The volumes of the pod as files of the host.
 *
 * Invariant: knows the pod through `Pod` alone; what it mounts or makes on the host is gone when it is disposed of.
 *
 * @module
 */
export { type Entry, SftpClient, SftpRefused } from "./sftp_client.ts";
export { whyNoLiveMount } from "./live_mount.ts";
export { makeMountPath, openVolumes, type Volumes, type VolumesOptions, type VolumesWanted } from "./volumes.ts";
