/** Which of the pod's volumes a carried program finds at their paths in the pod, and what stands for them in "hello". */
import type { FilePath } from "../method.ts";

/** Bytes of all mounts in an answer to "hello" (shim/README.md, "Requests"): a line of 16384 with its gates. */
export const MOUNTS_BYTES = 16_000;
/** How many the shim keeps. */
const MOST_MOUNTS = 256;

/** What a choice of mounts depends on. */
export interface MountsOptions {
  /** Directories of the host that its programs must find as they are: the working directory, the user's home. */
  readonly needed: readonly string[];
  /** The path without symbolic links, of whatever there is of it. @default {the host's own links} */
  readonly resolve?: (path: string) => Promise<string>;
}

/** Why a volume is not at its path. */
export interface Hidden {
  readonly path: string;
  readonly reason: string;
}

/**
 * Directories without which programs of the host do not run, each as a whole: what is below may be the pod's.
 */
const SYSTEM = new Set(
  ("/ /bin /boot /dev /etc /home /lib /lib32 /lib64 /libx32 /media /mnt /opt /proc /root /run /sbin /srv /sys /tmp /usr " +
    "/usr/bin /usr/include /usr/lib /usr/lib32 /usr/lib64 /usr/libexec /usr/local /usr/local/bin /usr/local/lib " +
    "/usr/local/share /usr/sbin /usr/share /var /var/cache /var/lib /var/log /var/run /var/tmp").split(" "),
);

/**
 * Chooses what is shown at its path in the pod. A path that leads through a symbolic link of the host (`/var/run`) is
 * shown at its end as well, for programs that follow links themselves.
 *
 * @param files the volumes: absolute paths without a slash at the end
 */
export async function chooseMounts(
  files: readonly FilePath[],
  { needed, resolve = resolveExisting }: MountsOptions,
): Promise<{ readonly shown: readonly FilePath[]; readonly hidden: readonly Hidden[] }> {
  const shown = new Map<string, FilePath>();
  const hidden: Hidden[] = [];
  const kept = [...needed, ...files.map(({ host }) => host)];
  const reasonFor = (path: string) => {
    if (SYSTEM.has(path)) return "programs of this machine need theirs";
    const within = kept.find((each) => `${each}/`.startsWith(`${path}/`));
    return within === undefined ? undefined : `"${within}" of this machine is there`;
  };
  for (const { pod, host } of files) {
    const end = await resolve(pod);
    const reason = reasonFor(pod) ?? reasonFor(end);
    if (reason !== undefined) {
      hidden.push({ path: pod, reason });
      continue;
    }
    shown.set(pod, { pod, host });
    if (!files.some((other) => other.pod === end)) shown.set(end, { pod: end, host });
  }
  const all = [...shown.values()];
  let bytes = 0;
  const fitting = all.slice(0, MOST_MOUNTS).filter((file) => (bytes += mountWords(file).length) <= MOUNTS_BYTES);
  hidden.push(...all.filter((file) => !fitting.includes(file)).map(({ pod }) => ({ path: pod, reason: "too many" })));
  return { shown: fitting, hidden };
}

/** A mount as two words, each with a blank before it; what is no printable ASCII is written as %XX, byte by byte. */
export function mountWords({ pod, host }: FilePath): string {
  return ` ${toWord(pod)} ${toWord(host)}`;
}

function toWord(path: string): string {
  let word = "";
  for (const byte of new TextEncoder().encode(path)) {
    const plain = byte > 0x20 && byte < 0x7f && byte !== 0x25;
    word += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return word;
}

async function resolveExisting(path: string): Promise<string> {
  for (let end = path.length; end > 0; end = path.lastIndexOf("/", end - 1)) {
    try {
      return `${(await Deno.realPath(path.slice(0, end))).replace(/\/$/, "")}${path.slice(end)}`;
    } catch {
      // not there, or not for us: what is above it decides
    }
  }
  return path;
}
