import type { Teller } from "./teller.ts";
import type { Step } from "./safety/record.ts";
import { titleOf } from "./safety/record.ts";
import type { Totals } from "./traffic/traffic.ts";

/** What a session was, for the line at its end. */
export interface Account {
  /** How long it took, in milliseconds. */
  readonly ms: number;
  readonly totals: Totals;
  /** What was undone. */
  readonly undone: readonly Step[];
  /** What could not be. */
  readonly left: readonly Step[];
}

/** The line at the end of a session: how long, how many connections, bytes, and what was given back. */
export function summaryOf({ ms, totals, undone, left }: Account): string {
  const { opened, accepted, failed, sent, received } = totals;
  const connections = [
    count(opened, "connection"),
    ...(accepted > 0 ? [`${accepted} from the cluster`] : []),
    ...(failed > 0 ? [`${failed} failed`] : []),
  ];
  const made = undone.filter((step) => step.kind === "delete").map(titleOf);
  const back = undone.filter((step) => step.kind === "place").map((step) => {
    return `${titleOf(step)}${step.workload === "daemonset" || step.workload === "pod" ? "" : ` (${step.replicas})`}`;
  });
  return [
    `Ended after ${formatTime(ms)}: ${connections.join(", ")}, ${formatBytes(sent)} sent, ${
      formatBytes(received)
    } received.`,
    ...(back.length > 0 ? [`Given back: ${back.join(", ")}.`] : []),
    ...(made.length > 0 ? [`Deleted: ${made.join(", ")}.`] : []),
    ...(left.length > 0 ? [`Left: ${left.map(titleOf).join(", ")}.`] : []),
  ].join(" ");
}

/** Tells it. */
export function tellAccount({ note }: Teller, account: Account): void {
  note(summaryOf(account));
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

/** Milliseconds as people say them: `0.8 s`, `2 min 5 s`, `1 h 2 min`. */
export function formatTime(ms: number): string {
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${seconds % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Bytes in decimal units: `999 B`, `1.2 kB`, `34 MB`. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (value < 999.5) return `${unit === "B" || value >= 9.95 ? Math.round(value) : value.toFixed(1)} ${unit}`;
    value /= 1000;
  }
  return `${value >= 9.95 ? Math.round(value) : value.toFixed(1)} TB`;
}
