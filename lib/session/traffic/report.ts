/**
 * `telepresence report`: a record (`--record`) as one page of HTML that needs nothing else: no other file, no network,
 * no script to be read. A script of its own sorts the table, and does nothing more.
 *
 * @module
 */
import { reasonOf, UserError } from "@/util/mod.ts";
import { formatBytes, formatTime } from "../account.ts";
import page from "./report.html" with { type: "text" };
import { parseRecordLine, type RecordLine, type ToldFlow } from "./told_flow.ts";
import { stateOf, whatOf } from "./watch.ts";

/** A record as it was read. */
export interface Recorded {
  readonly session: RecordLine & { line: "session" };
  readonly flows: readonly ToldFlow[];
  /** When it ended; the last thing that is known of, where the session was killed. */
  readonly at: number;
}

/**
 * Prints the page for a record.
 *
 * @throws {UserError} when the file cannot be read, or is no record
 */
export async function printReport(path: string, print: (text: string) => void): Promise<number> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (cause) {
    throw new UserError(`Cannot read the record "${path}": ${reasonOf(cause)}`, {
      hints: ["telepresence --record FILE ... writes one"],
      cause,
    });
  }
  print(reportPage(readRecord(text, path)));
  return 0;
}

/** Reads a record; a last line that was cut off (`kill -9`) is left out. @throws {UserError} when it is none */
export function readRecord(text: string, path: string): Recorded {
  const lines = text.split("\n");
  lines.pop(); // empty, or cut off
  const all: RecordLine[] = lines.map((line, index) => {
    try {
      return parseRecordLine(line);
    } catch (cause) {
      throw new UserError(`Cannot read the record "${path}": line ${index + 1} is none of a record`, {
        hints: ["telepresence --record FILE ... writes one"],
        cause,
      });
    }
  });
  const [first] = all;
  if (first?.line !== "session") {
    const why = text === "" ? "it is empty" : "it does not begin as a record does";
    throw new UserError(`Cannot read the record "${path}": ${why}`, {
      hints: ["telepresence --record FILE ... writes one"],
    });
  }
  const flows = all.filter((line) => line.line === "flow");
  const end = all.find((line) => line.line === "end");
  const at = end?.at ?? Math.max(first.at, ...flows.map(({ until, since }) => until ?? since));
  return { session: first, flows, at };
}

/** The page. */
export function reportPage({ session, flows, at }: Recorded): string {
  const sum = (field: "sent" | "received") => flows.reduce((total, flow) => total + flow[field], 0);
  const count = (is: (flow: ToldFlow) => boolean) => flows.filter(is).length;
  const facts: readonly (readonly [string, string])[] = [
    ["Session", `${session.session}, ${session.doing}`],
    ["Cluster", `context ${session.context}, namespace ${session.namespace}`],
    ["Began", new Date(session.at).toISOString()],
    ["Took", formatTime(at - session.at)],
    ["Connections", String(count(({ kind, state }) => kind !== "lookup" && kind !== "exposed" && state !== "failed"))],
    ["From the cluster", String(count(({ kind }) => kind === "exposed"))],
    ["Look-ups", String(count(({ kind }) => kind === "lookup"))],
    ["Failed", String(count(isBad))],
    ["Sent", formatBytes(sum("sent"))],
    ["Received", formatBytes(sum("received"))],
  ];
  const values: Readonly<Record<string, string>> = {
    title: escape(`Session ${session.session}: ${session.doing}`),
    facts: facts.map(([name, value]) => `<div><dt>${name}</dt><dd>${escape(value)}</dd></div>`).join("\n"),
    timelines: timelines(flows, session.at, at),
    rows: flows.map((flow) => row(flow, session.at, at)).join("\n"),
  };
  return page.replace(/@@(\w+)@@/g, (_, name: string) => values[name] ?? "");
}

/** Whether somebody would want to see it in red: refused, unresolved, or broken off. */
function isBad({ state, error }: ToldFlow): boolean {
  return state === "failed" || error !== undefined;
}

/** Where a flow goes, without what differs from one to the next. */
function destinationOf(flow: ToldFlow): string {
  return flow.kind === "exposed" ? `port ${flow.port}, from the cluster` : whatOf({ ...flow, answer: undefined });
}

/** A line of time for each destination, in the order of their first flow. */
function timelines(flows: readonly ToldFlow[], began: number, at: number): string {
  const total = Math.max(1, at - began);
  const groups = [...Map.groupBy(flows, destinationOf)];
  if (groups.length === 0) return "<p>No connections.</p>";
  return groups.map(([destination, ones]) => {
    const bad = ones.filter(isBad).length;
    const bars = ones.map((flow) => {
      const x = Math.max(0, (flow.since - began) / total * 1000);
      const width = Math.max(2, ((flow.until ?? at) - flow.since) / total * 1000); // a moment is to be seen too
      const label = `${stateOf(flow)}, ${formatTime(Math.max(0, flow.since - began))} after the start, for ` +
        formatTime((flow.until ?? at) - flow.since);
      return `<rect x="${x.toFixed(1)}" y="2" width="${width.toFixed(1)}" height="12"${
        isBad(flow) ? ' class="bad"' : ""
      }><title>${escape(label)}</title></rect>`;
    }).join("");
    const sums = `${ones.length}${bad > 0 ? `, <strong class="bad">${bad} failed</strong>` : ""}`;
    const label = escape(`${destination}: ${ones.length}, ${bad} failed`);
    return `<li><span class="to">${escape(destination)}</span> <span class="sum">${sums}</span>` +
      `<svg role="img" aria-label="${label}" viewBox="0 0 1000 16" preserveAspectRatio="none">${bars}</svg></li>`;
  }).join("\n");
}

function row(flow: ToldFlow, began: number, at: number): string {
  const { kind, since, until, sent, received, program, pid } = flow;
  const start = Math.max(0, since - began);
  const ms = (until ?? at) - since;
  const cells: readonly (readonly [shown: string, sortedBy?: number])[] = [
    [`${(start / 1000).toFixed(3)} s`, start],
    [KINDS[kind]],
    [whatOf(flow)],
    [stateOf(flow)],
    [`${(ms / 1000).toFixed(3)} s`, ms],
    [formatBytes(sent), sent],
    [formatBytes(received), received],
    [program === undefined ? "" : `${program} [${pid}]`],
  ];
  const inner = cells.map(([shown, sortedBy]) =>
    `<td${sortedBy === undefined ? "" : ` class="number" data-by="${sortedBy}"`}>${escape(shown)}</td>`
  );
  return `<tr${isBad(flow) ? ' class="bad"' : ""}>${inner.join("")}</tr>`;
}

const KINDS: Readonly<Record<ToldFlow["kind"], string>> = {
  tcp: "connection",
  udp: "datagrams",
  exposed: "from the cluster",
  lookup: "look-up",
};

/** Words of others as text: names come from wherever a program got them. */
function escape(text: string): string {
  const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return text.replace(/[&<>"]/g, (char) => entities[char] ?? char);
}
