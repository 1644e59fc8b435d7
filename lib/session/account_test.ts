import { deepStrictEqual as equals } from "node:assert/strict";
import { formatBytes, formatTime, summaryOf } from "./account.ts";

const NOTHING = { opened: 0, accepted: 0, failed: 0, sent: 0, received: 0 };
const PROXY = { kind: "delete", resource: "deployment", name: "web" } as const;
const PLACE = {
  kind: "place",
  workload: "deployment",
  name: "shop",
  uid: "1",
  replicas: 3,
  claim: "c",
  originalFirst: false,
} as const;

Deno.test("the line at the end tells how long, connections, bytes, and what was given back", () => {
  equals(
    summaryOf({ ms: 2345, totals: { ...NOTHING, opened: 1, received: 1234 }, undone: [PROXY], left: [] }),
    "Ended after 2.3 s: 1 connection, 0 B sent, 1.2 kB received. Deleted: deployment/web.",
  );
  const totals = { opened: 5, accepted: 2, failed: 1, sent: 10, received: 0 };
  equals(
    summaryOf({ ms: 61_000, totals, undone: [PLACE], left: [PROXY] }),
    "Ended after 1 min 1 s: 5 connections, 2 from the cluster, 1 failed, 10 B sent, 0 B received. " +
      "Given back: deployment/shop (3). Left: deployment/web.",
  );
});

Deno.test("bytes and times are as people say them", () => {
  const bytes = [0, 999, 1000, 9949, 9950, 999_499, 999_500, 34e6, 5e9, 7e12].map(formatBytes);
  equals(bytes, ["0 B", "999 B", "1.0 kB", "9.9 kB", "10 kB", "999 kB", "1.0 MB", "34 MB", "5.0 GB", "7.0 TB"]);
  equals([0, 9_940, 10_000, 59_400, 125_000, 3_720_000].map(formatTime), [
    "0.0 s",
    "9.9 s",
    "10 s",
    "59 s",
    "2 min 5 s",
    "1 h 2 min",
  ]);
});
