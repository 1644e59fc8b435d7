import { requireProgram, runProgram } from "@/process/mod.ts";
import { cached } from "../../tools/delivery/cache.ts";

/** A new Debian 12: what is essential, and curl. Nobody has put Go, Node.js or Deno into it. */
export async function debianRoot(): Promise<string> {
  return await cached("debian-12-minbase-curl", async (path) => {
    const packages = "--include=curl,ca-certificates";
    await requireProgram(["debootstrap", "--variant=minbase", packages, "bookworm", path], { env: { LC_ALL: "C" } });
    await Deno.remove(`${path}/var/cache/apt/archives`, { recursive: true });
  });
}

/** Why no such system can be had here; undefined when it can. */
export async function whyNoDebianRoot(): Promise<string | undefined> {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0) return "it takes root on Linux";
  try {
    const { code, stderr } = await runProgram(inRoot(await debianRoot(), "/usr", ["true"]));
    return code === 0 ? undefined : stderr.trim();
  } catch (error) {
    return String(error instanceof Error ? error.message : error);
  }
}

/**
 * Enters a system: its root is the root by pivot_root (a chroot would have the old one behind it), what is written goes
 * to memory and is gone at the end. It has this machine's network, and processes of its own.
 */
const ENTER = `
mkdir -p /mnt && mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o "lowerdir=$1,upperdir=/mnt/upper,workdir=/mnt/work" /mnt/root
shift
cd /mnt/root
mount --rbind /dev dev
mount -t proc proc proc
mkdir -p given && mount --bind "$1" given
shift
mkdir old && pivot_root . old
umount -l old && rmdir old
cd /root
exec "$@"
`;

/** The command that runs another one in a system with this root, which has a directory of ours as `/given`. */
export function inRoot(root: string, given: string, command: readonly string[]): [string, ...string[]] {
  const namespaces = ["--mount", "--propagation", "private", "--pid", "--fork", "--ipc", "--uts"];
  return ["unshare", ...namespaces, "sh", "-ec", ENTER, "-", root, given, ...command];
}
