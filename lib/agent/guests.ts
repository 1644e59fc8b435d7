import type { Introduction, PodSession } from "@/pod/mod.ts";

/** A host's link, as far as the other hosts may know of it. */
export interface Guest {
  /** There once it has introduced itself. */
  introduction?: Introduction;
  /** The ports that it listens on. */
  readonly ports: Set<number>;
}

/** Those who are served at this time. */
export type Guests = Set<Guest>;

/** Those who introduced themselves, by the time at which they began. */
export function introduced(guests: Guests): PodSession[] {
  const known = [...guests].flatMap(({ introduction, ports }) => {
    return introduction ? [{ ...introduction, ports: [...ports].sort((a, b) => a - b) }] : [];
  });
  return known.sort((a, b) => a.since < b.since ? -1 : 1);
}
