import { type Log, silentLog } from "@/log/mod.ts";
import { startFilter } from "@/process/mod.ts";

/**
 * Unmounts `$1` and removes the directories that follow, innermost first, when its standard input ends. POSIX shell: it
 * is on every machine that has FUSE, and a second runtime would cost 40 MB for a session's whole life. `-z` detaches
 * what is still in use; a directory that is not empty is not ours to remove.
 */
const SCRIPT = `exec 2>/dev/null
cat >/dev/null
mountpoint=$1
shift
for unmount in "fusermount3 -u -z" "fusermount -u -z" "umount -l"; do
  $unmount "$mountpoint" && break
done
for directory do
  rmdir "$directory"
done
`;

/**
 * Starts what unmounts when we cannot: a process of its own, in a session of its own, which waits for the end of a pipe
 * that only we hold. After a `kill -9` of ours, and of the mount's own process, nothing stays mounted.
 *
 * Disposing it has it do its work at once, which finds nothing to do where all was given back.
 *
 * @param directories those that were made for the mount, innermost first
 */
export function startMountGuardian(
  mountpoint: string,
  directories: readonly string[],
  log: Log = silentLog,
): AsyncDisposable {
  return startFilter(["sh", "-c", SCRIPT, "telepresence-mount-guardian", mountpoint, ...directories], { log });
}
