import type { Instance } from "./instance.ts";

/** The CNI plugins that a pod's network is made of, as Debian has them. */
const PLUGINS = ["/usr/lib/cni/host-local", "/usr/lib/cni/loopback", "/usr/lib/cni/portmap", "/usr/lib/cni/ptp"];

/**
 * The plugin `ptp`, for a network in which nobody has a neighbor: IPv6 would let each new address wait a second or two
 * for an objection (duplicate address detection, RFC 4862, section 5.4), and ptp waits for that, so that every pod would
 * start as much later.
 */
export const CABLE = `#!/bin/sh
setting=/proc/sys/net/ipv6/conf/default/accept_dad
[ "$CNI_COMMAND" != ADD ] || [ ! -e "$setting" ] || nsenter --net="$CNI_NETNS" sh -c "echo 0 >$setting"
exec /usr/lib/cni/ptp
`;

/** Where containerd finds the node's CNI plugins. */
export function pluginsOf({ state }: Instance): string {
  return `${state}/bin/cni`;
}

/** Places the plugins, and one of our own, which is called `cable`. */
export async function placePlugins(instance: Instance): Promise<void> {
  const folder = pluginsOf(instance);
  await Deno.mkdir(folder, { recursive: true });
  for (const path of PLUGINS) await Deno.symlink(path, `${folder}${path.slice(path.lastIndexOf("/"))}`);
  await Deno.writeTextFile(`${folder}/cable`, CABLE, { mode: 0o755 });
}
