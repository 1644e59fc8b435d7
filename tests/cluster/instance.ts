import { UserError } from "@/util/mod.ts";

/** Everything that has a name or an address in one cluster, so that two of them have nothing in common. */
export interface Instance {
  readonly name: string;
  /** The one folder with all its files. */
  readonly state: string;
  /** The host's end of the cable (veth pair) to the node. */
  readonly link: string;
  readonly hostAddress: string;
  readonly nodeAddress: string;
  /** Ranges of addresses that exist inside the node only. */
  readonly pods: string;
  readonly services: string;
  /** The same of IPv6, which only some machines can give a node; the machine's end of the cable has none. */
  readonly ipv6: { readonly nodeAddress: string; readonly pods: string; readonly services: string };
  /** ClusterIP of Service `kubernetes`, which the API server gives itself. */
  readonly apiService: string;
  readonly dnsService: string;
  /** Parent of all the pods' cgroups, in every hierarchy. */
  readonly cgroup: string;
}

/** Where the clusters' folders are; the README says why here. */
export const STATE_ROOT = "/var/lib/telepresence-cluster";

/** The node's name in the cluster. */
export const NODE_NAME = "node";

/**
 * The instance of that name. Its addresses follow from the name alone: 16 slots, of which "main" has the first.
 *
 * @throws {UserError} when the name does not fit in the name of a network link
 */
export function instanceOf(name: string): Instance {
  if (!/^[a-z][a-z0-9]{0,9}$/.test(name)) {
    throw new UserError(`Cannot use "${name}" as a cluster's name: want at most ten of a-z and 0-9, a letter first`);
  }
  const slot = name === "main" ? 0 : 1 + [...name].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % 15;
  return {
    name,
    state: `${STATE_ROOT}/${name}`,
    link: `tpc-${name}`,
    hostAddress: `10.111.${slot}.1`,
    nodeAddress: `10.111.${slot}.2`,
    pods: `10.112.${slot * 16}.0/20`,
    services: `10.113.${slot * 16}.0/20`,
    apiService: `10.113.${slot * 16}.1`,
    dnsService: `10.113.${slot * 16}.10`,
    ipv6: {
      nodeAddress: `fd00:10:111:${slot}::2`,
      pods: `fd00:10:112:${slot}::/64`,
      services: `fd00:10:113:${slot}::/112`,
    },
    cgroup: `telepresence-cluster-${name}`,
  };
}
