/** Ranges of addresses: pure. */
import ipaddr from "ipaddr.js";

/** A range of either family. */
export interface Range {
  /** The first address of it, in its usual form. */
  readonly base: string;
  /** How many bits its addresses have in common. */
  readonly bits: number;
}

/** An address or CIDR, host bits or not (`10.0.0.7/8` is `10.0.0.0/8`); undefined for what is neither. */
export function parseRange(text: string): Range | undefined {
  const [address = "", bits, ...more] = text.split("/");
  if (more.length > 0 || !isAddress(address)) return undefined;
  const parsed = ipaddr.process(address);
  const most = parsed.kind() === "ipv4" ? 32 : 128;
  if (bits !== undefined && !/^\d{1,3}$/.test(bits)) return undefined;
  const wanted = bits === undefined ? most : Number(bits);
  return wanted > most ? undefined : { base: masked(parsed, wanted), bits: wanted };
}

/** Whether a text is an address of either family, as people write them. */
export function isAddress(text: string): boolean {
  return text.includes(":")
    ? !text.includes("%") && ipaddr.IPv6.isValid(text)
    : ipaddr.IPv4.isValidFourPartDecimal(text);
}

/** A range as text. */
export function formatRange({ base, bits }: Range): string {
  return `${base}/${bits}`;
}

/** The range of one address. @throws {RangeError} for what is none */
export function rangeOf(address: string): Range {
  const range = parseRange(address);
  if (range === undefined || address.includes("/")) throw new RangeError(`Not an address: "${address}"`);
  return range;
}

/** Whether all of `inner` is in `outer`. */
export function covers(outer: Range, inner: Range): boolean {
  return isIPv6(outer) === isIPv6(inner) && outer.bits <= inner.bits &&
    masked(ipaddr.parse(inner.base), outer.bits) === outer.base;
}

/** Whether two ranges have an address in common: then one has all of the other. */
export function overlap(one: Range, other: Range): boolean {
  return covers(one, other) || covers(other, one);
}

/** The same addresses by the fewest of the given ranges: those that are within another one are left out. */
export function withoutInner(ranges: readonly Range[]): Range[] {
  const all = [...new Map(ranges.map((range) => [formatRange(range), range])).values()];
  return all.filter((range) => !all.some((other) => other !== range && covers(other, range)));
}

/** Bits of the blocks that addresses are taken to belong to: what a node, or a small cluster, is usually given. */
const GUESSED = { v4: 24, v6: 120 } as const;
/** What grows together has at least so many bits: two clusters' worth of addresses would be others' as well. */
const WIDEST = { v4: 16, v6: 108 } as const;

/**
 * Ranges in which addresses that were seen are likely to have neighbors: the block around each private one, grown
 * together with others within a /16; of public ones each address alone.
 */
export function coverOf(addresses: Iterable<string>): Range[] {
  let ranges = withoutInner([...addresses].map((address) => {
    const parsed = ipaddr.process(address);
    const [alone, guessed] = parsed.kind() === "ipv4" ? [32, GUESSED.v4] : [128, GUESSED.v6];
    const bits = isPrivate(address) ? guessed : alone;
    return { base: masked(parsed, bits), bits };
  }));
  for (let grown = true; grown;) {
    grown = false;
    for (const range of ranges) {
      const wider = widen(range, ranges);
      if (wider === undefined) continue;
      ranges = withoutInner([...ranges, wider]);
      grown = true;
      break;
    }
  }
  return ranges;
}

/** The narrowest range around one that takes in another one, if it is not too wide. */
function widen(range: Range, ranges: readonly Range[]): Range | undefined {
  if (!isPrivate(range.base)) return undefined;
  for (let bits = range.bits - 1; bits >= (isIPv6(range) ? WIDEST.v6 : WIDEST.v4); bits--) {
    const wider = { base: masked(ipaddr.parse(range.base), bits), bits };
    const others = ranges.filter((other) => other !== range && overlap(wider, other));
    if (others.length > 0) return others.every((other) => isPrivate(other.base)) ? wider : undefined;
  }
  return undefined;
}

/** Whether an address is of those that mean something else in each network (RFC 1918, 6598, 4193). */
export function isPrivate(address: string): boolean {
  return ["private", "carrierGradeNat", "uniqueLocal"].includes(ipaddr.process(address).range());
}

/** Whether an address is one host's, and not this machine's or this link's. */
export function isReachable(address: string): boolean {
  const kind = ipaddr.process(address).range();
  return !["loopback", "unspecified", "linkLocal", "multicast", "broadcast"].includes(kind);
}

/** Whether it is of IPv6. */
export function isIPv6({ base }: Range): boolean {
  return base.includes(":");
}

function masked(address: ipaddr.IPv4 | ipaddr.IPv6, bits: number): string {
  const bytes = address.toByteArray().map((byte, at) => byte & 0xff << Math.max(0, Math.min(8, 8 * (at + 1) - bits)));
  return ipaddr.fromByteArray(bytes.map((byte) => byte & 0xff)).toString();
}
