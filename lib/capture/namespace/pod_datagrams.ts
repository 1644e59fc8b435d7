import { type DatagramFlow, DialError, type ErrnoName, LookupError, type Pod, type Waiting } from "@/pod/mod.ts";
import { type Duplex, writeAll } from "@/util/mod.ts";
import { readFrames, toFrame } from "../frames.ts";
import type { Endpoint } from "../inject/protocol.ts";
import { formatAnswer } from "./protocol.ts";

/** How many datagrams of the pod may wait for a program that reads slowly; what comes then is lost, as it would be. */
const MOST_WAITING = 256;

/**
 * Joins a flow of datagrams, as frames, to one from the pod. Ends with either of them.
 *
 * @returns the errno with which the pod refused it; undefined when it was over
 */
export async function servePodDatagrams(
  duplex: Duplex,
  to: Endpoint,
  { pod, ...waiting }: { readonly pod: Pick<Pod, "datagrams"> } & Waiting,
): Promise<ErrnoName | undefined> {
  let flow: DatagramFlow;
  try {
    flow = await pod.datagrams({ host: to.address, port: to.port }, waiting);
  } catch (error) {
    if (error instanceof DialError) return error.code;
    if (error instanceof LookupError) return "EHOSTUNREACH";
    throw error;
  }
  await using _flow = flow;
  await writeAll(duplex, formatAnswer("ok"));
  await Promise.race([sendAll(duplex, flow), receiveAll(flow, duplex)]);
  return undefined;
}

async function sendAll(duplex: Duplex, flow: DatagramFlow): Promise<void> {
  for await (const payload of readFrames(duplex)) await flow.send(payload);
}

async function receiveAll(flow: DatagramFlow, duplex: Duplex): Promise<void> {
  let writing = Promise.resolve();
  let waiting = 0;
  for await (const payload of flow.received()) {
    if (waiting >= MOST_WAITING) continue;
    waiting++;
    writing = writing.then(() => writeAll(duplex, toFrame(payload))).catch(() => {}).finally(() => waiting--);
  }
  await writing;
}
