import { type Log, silentLog } from "@/log/mod.ts";
import { messageOf } from "@/util/mod.ts";
import type { Machine } from "./machine.ts";
import { covers, formatRange, isIPv6, isReachable, type Range, rangeOf } from "./ranges.ts";

/** What leads to the pod, and what does not whatever is within. */
export interface Captured {
  /** Whether an address leads to the pod. */
  has(address: string): boolean;
  /** Leads ranges to the pod. */
  addRanges(ranges: readonly Range[]): Promise<void>;
  /** Leads addresses to the pod, but for those that mean this machine or its link, and those that are left alone. */
  add(addresses: readonly string[]): Promise<void>;
  /** Leaves ranges alone. */
  exclude(ranges: readonly Range[]): Promise<void>;
}

/** How many single addresses are led to the pod: each is a rule that every new connection is compared with. */
const MOST_ADDRESSES = 1024;

/**
 * Keeps account of what the helper was told, so that nothing is told twice.
 *
 * @param isOwn whether an address is this machine's
 */
export function keepCaptured(
  machine: Pick<Machine, "tell">,
  isOwn: (address: string) => boolean,
  log: Log = silentLog,
): Captured {
  const captured: Range[] = [];
  const excluded: Range[] = [];
  const inOne = (ranges: readonly Range[], range: Range) => ranges.some((each) => covers(each, range));
  const isLeft = (range: Range) => {
    // The narrower of two that both have it decides, as among routes.
    const bits = (ranges: readonly Range[]) =>
      Math.max(-1, ...ranges.flatMap((each) => covers(each, range) ? [each.bits] : []));
    return bits(excluded) >= bits(captured) && inOne(excluded, range);
  };
  const addRanges = async (ranges: readonly Range[]) => {
    for (const range of ranges) {
      if (inOne(excluded, range) || inOne(captured, range)) continue;
      captured.push(range); // before the helper is told: what it hands on is known
      try {
        await machine.tell("capture", formatRange(range));
      } catch (error) {
        if (!isIPv6(range)) throw error;
        log.info(`Not led to the pod, as this machine may have no IPv6: ${messageOf(error)}`);
      }
    }
  };
  return {
    has(address) {
      const range = rangeOf(address);
      return inOne(captured, range) && !isLeft(range);
    },
    addRanges,
    async add(addresses) {
      const wanted = addresses.filter((address) => isReachable(address) && !isOwn(address)).map(rangeOf)
        .filter((range) => !inOne(captured, range));
      if (captured.length + wanted.length > MOST_ADDRESSES) {
        return log.info(`Not led to the pod, as there are too many: ${wanted.map(formatRange).join(", ")}`);
      }
      await addRanges(wanted);
    },
    async exclude(ranges) {
      for (const range of ranges) {
        if (inOne(excluded, range)) continue;
        excluded.push(range);
        await machine.tell("except", formatRange(range)).catch((error) => {
          if (!isIPv6(range)) throw error;
          log.info(`This machine may have no IPv6: ${messageOf(error)}`);
        });
      }
    },
  };
}
