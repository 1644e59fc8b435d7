/**
 * The true programs by which machines resolve names, of Debian: systemd-resolved with nss-resolve, and avahi with
 * nss-mdns. They are unpacked beside the build and laid over a played machine's own libraries, since installing them
 * would change how the machine that runs the tests resolves names.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { runProgram } from "@/process/mod.ts";

/** A service of a played machine. */
export interface Service {
  /** Lines of a shell that prepare the machine's files for it. */
  readonly setUp: string;
  /** Lines of a shell that start it, and set `pid`. */
  readonly start: string;
  /** A file that is there when it serves. */
  readonly ready: string;
}

const PACKAGES = [
  ...["systemd-resolved", "libsystemd-shared", "libsystemd0", "libnss-resolve"],
  ...["avahi-daemon", "libavahi-core7", "libavahi-common3", "libdaemon0", "libnss-mdns"],
];
const PLACE = fileURLToPath(new URL("../../build/resolvers", import.meta.url));

const UNPACK = `
set -eu
[ ! -e "$1/whole" ] || exit 0
rm -rf "$1"; mkdir -p "$1"; cd "$1"; shift
apt-get download -qq "$@" >/dev/null || { apt-get update -qq >/dev/null; apt-get download -qq "$@" >/dev/null; }
for package in *.deb; do dpkg -x "$package" unpacked; done
touch whole`;

/** The programs, unpacked. @returns why they cannot be had or laid over this machine's, where that is so */
export async function whyNoServices(): Promise<string | undefined> {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0) return "they need root on Linux";
  const unpacked = await runProgram(["sh", "-c", UNPACK, "sh", PLACE, ...PACKAGES]);
  if (unpacked.code !== 0) return `Debian's packages are not to be had: ${unpacked.stderr.trim().split("\n").at(-1)}`;
  const script = `${LAY}; /usr/lib/systemd/systemd-resolved --version >/dev/null && /usr/sbin/avahi-daemon --version`;
  const { code, stderr } = await runProgram(["unshare", "--mount", "--propagation", "private", "sh", "-euc", script]);
  return code === 0 ? undefined : `they do not start here: ${stderr.trim()}`;
}

/** Overlays are read-only: nothing of the machine's own is written to. */
const LAY = `
mount -t overlay overlay -o ro,lowerdir=${PLACE}/unpacked/usr/lib:${PLACE}/unpacked/lib:/usr/lib /usr/lib
mount -t overlay overlay -o ro,lowerdir=${PLACE}/unpacked/usr/sbin:/usr/sbin /usr/sbin`;

/** Has a user for a service, as its package makes one. */
const user = (name: string, id: number) => `
echo '${name}:x:${id}:${id}::/:/usr/sbin/nologin' >>/etc/passwd; echo '${name}:x:${id}:' >>/etc/group`;

/** systemd-resolved as Debian has it, but that the name server is given by hand: here is nobody else who would tell it. */
export function resolved(server: string): Service {
  return {
    setUp: `${LAY}${user("systemd-resolve", 64001)}
mkdir -p /etc/systemd /run/systemd/resolve; chown systemd-resolve: /run/systemd/resolve
printf '[Resolve]\\nDNS=${server}\\n' >/etc/systemd/resolved.conf
ln -sfn ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf`,
    start: "SYSTEMD_LOG_LEVEL=err /usr/lib/systemd/systemd-resolved >&2 & pid=$!",
    ready: "/run/systemd/resolve/io.systemd.Resolve",
  };
}

/** avahi as Debian has it, but without D-Bus, with names that it publishes. */
export function avahi(hosts: Readonly<Record<string, string>>): Service {
  const lines = Object.entries(hosts).map(([name, address]) => `${address} ${name}\\n`).join("");
  return {
    setUp: `${LAY}${user("avahi", 64002)}
mkdir -p /etc/avahi
printf '[server]\\nhost-name=developer\\nuse-ipv6=no\\nenable-dbus=no\\n' >/etc/avahi/avahi-daemon.conf
printf '${lines}' >/etc/avahi/hosts`,
    start: "/usr/sbin/avahi-daemon --no-chroot >/dev/null 2>&1 & pid=$!",
    ready: "/run/avahi-daemon/socket",
  };
}
