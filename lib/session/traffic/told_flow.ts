/**
 * A flow as it is told to others: over the socket of a session, in records and reports. No payload is in it.
 *
 * @module
 */
import * as z from "zod/mini";
import type { Flow } from "@/pod/mod.ts";
import { findOwners, keyOf, type Owner, programOf } from "./owners.ts";
import type { Traffic } from "./traffic.ts";

const toldFlowSchema = z.object({
  id: z.int(),
  kind: z.enum(["tcp", "udp", "exposed", "lookup"]),
  /** The address or the name; of an exposed port, who connected. */
  host: z.string(),
  port: z.int(),
  /** The name by which the address was asked for. */
  name: z.optional(z.string()),
  state: z.enum(["opening", "open", "ended", "failed"]),
  /** Milliseconds since 1970. */
  since: z.number(),
  until: z.optional(z.number()),
  error: z.optional(z.string()),
  answer: z.optional(z.array(z.string())),
  sent: z.number(),
  received: z.number(),
  pid: z.optional(z.int()),
  program: z.optional(z.string()),
});
/** A flow as it is told. */
export type ToldFlow = z.infer<typeof toldFlowSchema>;

const totalsSchema = z.object({
  opened: z.number(),
  failed: z.number(),
  accepted: z.number(),
  sent: z.number(),
  received: z.number(),
});

/** Everything of a session at one moment. */
const snapshotSchema = z.object({
  session: z.string(),
  doing: z.string(),
  /** The pod that it is in by now. */
  pod: z.string(),
  since: z.string(),
  at: z.number(),
  totals: totalsSchema,
  flows: z.array(toldFlowSchema),
});
/** Everything of a session at one moment. */
export type Snapshot = z.infer<typeof snapshotSchema>;

/** Reads a snapshot. @throws when it is none */
export function parseSnapshot(line: string): Snapshot {
  return z.parse(snapshotSchema, JSON.parse(line));
}

/** The last moment that a date can say (ECMA-262, "Time Values and Time Range"). */
const LATEST_MS = 8.64e15;

const recordLineSchema = z.discriminatedUnion("line", [
  z.object({
    line: z.literal("session"),
    session: z.string(),
    doing: z.string(),
    context: z.string(),
    namespace: z.string(),
    at: z.number().check(z.gte(0), z.lte(LATEST_MS)),
  }),
  z.extend(toldFlowSchema, { line: z.literal("flow") }),
  z.extend(totalsSchema, { line: z.literal("end"), at: z.number() }),
]);
/** A line of a record: the session at its beginning, each flow when it is over, and the totals at the end. */
export type RecordLine = z.infer<typeof recordLineSchema>;

/** Reads a line of a record. @throws when it is none */
export function parseRecordLine(line: string): RecordLine {
  return z.parse(recordLineSchema, JSON.parse(line));
}

/** When a flow's process is looked for, after it began: a program has its connection soon, and may be done with it. */
const LOOK_MS = [2, 10, 50];

/**
 * Looks for the process of each flow while it can be found, until it is disposed of. Only while somebody watches or
 * records: it reads what the kernel knows of all processes.
 */
export function lookForOwners(traffic: Pick<Traffic, "listen">, telling: ReturnType<typeof makeTelling>): Disposable {
  const begun = new Map<Flow, number>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const look = async () => {
    await telling.findOwners([...begun.keys()]);
    for (const [flow, looks] of begun) {
      if (telling.isKnown(flow) || looks + 1 >= LOOK_MS.length) begun.delete(flow);
      else begun.set(flow, looks + 1);
    }
    timer = undefined;
    if (begun.size > 0) lookIn(LOOK_MS[Math.min(...begun.values())] ?? 0);
  };
  const lookIn = (ms: number) => {
    timer ??= setTimeout(() => void look().catch(() => timer = undefined), ms);
  };
  const listening = traffic.listen((flow) => {
    telling.learn(flow);
    if (flow.kind === "lookup" || flow.kind === "exposed") return;
    if (flow.until !== undefined) return void begun.delete(flow);
    if (!telling.isKnown(flow)) begun.set(flow, 0);
    lookIn(LOOK_MS[0] ?? 0);
  });
  return {
    [Symbol.dispose]() {
      listening[Symbol.dispose]();
      clearTimeout(timer);
      begun.clear();
    },
  };
}

/** Tells flows with the processes that they belong to, each looked for once while it can be found. */
export function makeTelling(traffic: Pick<Traffic, "nameOf">, find: typeof findOwners = findOwners) {
  const owners = new WeakMap<Flow, Owner>();
  /**
   * Takes down whose a flow is where the process itself has said so: at once, as it is there while it waits for its
   * answer, and may be gone with it. What is over is shown for so short a time that its number is nobody else's yet.
   */
  const learn = (flow: Flow) => {
    const { caller } = flow;
    if (caller === undefined || !("pid" in caller) || owners.has(flow)) return;
    owners.set(flow, { pid: caller.pid, program: programOf(caller.pid) });
  };
  return {
    learn,
    /** Finds out to whom flows belong that nobody was found for yet. */
    async findOwners(flows: readonly Flow[]): Promise<void> {
      flows.forEach(learn);
      const unknown = flows.flatMap((flow) => {
        const { caller, until } = flow;
        return until !== undefined || owners.has(flow) || !caller || "pid" in caller ? [] : [{ flow, caller }];
      });
      if (unknown.length === 0) return;
      const found = await find(unknown.map(({ caller }) => caller));
      for (const { flow, caller } of unknown) {
        const owner = found.get(keyOf(caller));
        if (owner) owners.set(flow, owner);
      }
    },
    isKnown: (flow: Flow) => owners.has(flow),
    tell(flow: Flow): ToldFlow {
      const { id, kind, peer, port, state, since, until, error, answer, sent, received } = flow;
      const name = kind === "tcp" || kind === "udp" ? traffic.nameOf(peer.host) : undefined;
      return {
        id,
        kind,
        host: peer.host,
        port: kind === "exposed" ? port ?? 0 : peer.port,
        ...(name !== undefined && { name }),
        state,
        since,
        ...(until !== undefined && { until }),
        ...(error !== undefined && { error }),
        ...(answer !== undefined && { answer: [...answer] }),
        sent,
        received,
        ...owners.get(flow),
      };
    },
  };
}
