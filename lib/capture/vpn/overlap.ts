/** What of the cluster's ranges this machine's own network has already. */
import { UserError } from "@/util/mod.ts";
import { covers, formatRange, overlap, parseRange, type Range } from "./ranges.ts";

/** A route of this machine, as the helper prints it (netns/README.md, "The machine"). */
export interface MachineRoute {
  readonly range: Range;
  readonly device: string;
  /** A network on a wire, the one other end of a tunnel, or a network behind a gateway. */
  readonly kind: "link" | "tunnel" | "via";
}

/** Reads what the helper prints. */
export function parseRoutes(text: string): MachineRoute[] {
  return text.split("\n").flatMap((line) => {
    const [destination = "", _table, device = "", kind] = line.split(" ");
    const range = parseRange(destination);
    if (range === undefined || (kind !== "link" && kind !== "tunnel" && kind !== "via")) return [];
    return [{ range, device, kind }];
  });
}

/** Ranges that lead to all that has no other way: a default route, or both halves of the world, as VPNs have it. */
const MOST_BITS_OF_A_DEFAULT = 1;

/**
 * Refuses ranges that would take the place of a network of this machine's: a subnet that it is in, or a route that is as
 * narrow as the range or narrower. A wider route stays for what the range leaves of it.
 *
 * @param neverProxy what stays as it is whatever the ranges say
 * @returns sentences about wider routes, for the user
 * @throws {UserError} that says what to do
 */
export function requireNoOverlap(
  ranges: readonly Range[],
  routes: readonly MachineRoute[],
  neverProxy: readonly Range[],
): string[] {
  const told = new Set<string>();
  for (const range of ranges) {
    for (const { range: route, device, kind } of routes) {
      if (device === "lo" || route.bits <= MOST_BITS_OF_A_DEFAULT || !overlap(range, route)) continue;
      const common = covers(range, route) ? route : range;
      if (neverProxy.some((never) => covers(never, common))) continue;
      const what = `${formatRange(route)} ${PLACES[kind]} ${device}`;
      if (kind !== "link" && route.bits < range.bits) {
        told.add(`${formatRange(range)} of the cluster is within ${what}: for this session it means the cluster`);
        continue;
      }
      throw new UserError(`Cannot use --method vpn-tcp: ${formatRange(range)} of the cluster is also ${what}`, {
        hints: [
          `--never-proxy ${formatRange(common)} leaves that to this machine`,
          ...(kind === "link" ? [] : ["A VPN that has this route can be ended for the time of the session"]),
          "--method namespace and --method inject-tcp carry one command, and have no such conflict",
        ],
      });
    }
  }
  return [...told];
}

const PLACES = { link: "a network of this machine's, on", tunnel: "a route of a VPN, by", via: "a route, by" } as const;
