/**
 * Questions that we ask ourselves at the start, by names that nobody else has: whether the machine's questions come here
 * at all, whether the cluster's come here too (a loop), and whether a domain of the machine's search list has every name.
 *
 * @module
 */
import { decodeMessage, DnsFormatError, encodeMessage, queryFor, RCODES, TYPES } from "@/dns/mod.ts";
import { type Log, silentLog } from "@/log/mod.ts";
import type { Pod } from "@/pod/mod.ts";
import { abortable, deadline, messageOf, UserError } from "@/util/mod.ts";
import { encodeResponse } from "../dns/respond.ts";
import { forwardTo } from "./forward.ts";
import type { Machine } from "./machine.ts";
import { repeat } from "./repeat.ts";
import type { ResolvConf } from "./resolver_files.ts";

/** What was found out. */
export interface Probes {
  /** Asks. @throws {UserError} when the machine's own questions do not come here */
  begin(resolver: ResolvConf): Promise<void>;
  /** Answers one of our own questions; undefined for every other. */
  answer(query: Uint8Array): Promise<Uint8Array<ArrayBuffer>> | undefined;
  /** Whether the cluster asks this machine for what it does not know; true while that is not known. */
  loops(): boolean;
  /**
   * Looks for that again, since something looks like it: the cluster may have other name servers now.
   *
   * @returns whether it does so
   */
  suspectLoop(): Promise<boolean>;
  /** Whether the machine's servers know every name of a domain. */
  isWildcard(domain: string): boolean;
}

/** How long our own question may take on its way through the machine. */
const OWN_MS = 5_000;
/** How long one may be on its way until another is sent: a datagram may be lost, as on a machine that has much to do. */
const AGAIN_MS = 500;
/** How long the cluster may take to ask the machine, if it does: its servers try others first. */
const LOOP_MS = 8_000;
/** How long what was found upon a suspicion is believed: programs do ask for one name at the same time. */
const BELIEVED_MS = 1_000;

/** Makes the probes. */
export function makeProbes(
  { machine, pod, log = silentLog, signal, now = () => performance.now() }: {
    readonly machine: Pick<Machine, "tell" | "outside">;
    readonly pod: Pick<Pod, "resolve">;
    readonly log?: Log;
    readonly signal: AbortSignal;
    /** Milliseconds of a clock that only goes forwards. @default {performance.now} */
    readonly now?: () => number;
  },
): Probes {
  const random = crypto.getRandomValues(new Uint8Array(8)).toHex();
  // Below a domain that nobody has: of `.invalid` and its like, servers on the way know by themselves that it is empty.
  const [ownName, loopDomain] = [`telepresence-own-${random}`, `telepresence-${random}`];
  const heard = Promise.withResolvers<void>();
  const wildcards = new Set<string>();
  let looping: boolean | undefined;
  let looks = 0;
  let looked: ReturnType<typeof beginLooking> | undefined;

  const lookForLoop = async () => {
    using late = deadline(LOOP_MS, () => new Error("nothing was asked here"));
    const waiting = AbortSignal.any([signal, late.signal]);
    const name = `loop-${looks++}.${loopDomain}.`; // another one each time, as servers on the way keep that it is not there
    await abortable(pod.resolve(name, TYPES.A, { signal: waiting }), waiting).catch(() => {});
    looping ??= false;
    log.info(looping ? "The cluster asks this machine for names that it does not know" : "There is no loop of names");
  };
  const beginLooking = () => ({ over: lookForLoop().catch((error) => log.debug(messageOf(error))), at: now() });
  const lookForWildcard = async (domain: string, server: string) => {
    const answer = await forwardTo(machine, server, log)(makeQuery(`telepresence-${random}.${domain}`), "udp");
    if (answer === undefined) return;
    const { rcode, answers } = decodeMessage(answer);
    if (rcode === RCODES.NOERROR && answers.length > 0) wildcards.add(domain);
  };
  return {
    loops: () => looping ?? true,
    async suspectLoop() {
      if (looked === undefined || now() - looked.at > BELIEVED_MS) looked = beginLooking();
      await looked.over;
      return looping ?? true;
    },
    isWildcard: (domain) => wildcards.has(domain),
    answer(bytes) {
      if (bytes.length < 20 || bytes.length > 300) return undefined;
      const text = new TextDecoder("latin1").decode(bytes.subarray(13));
      if (!text.includes(random)) return undefined;
      const query = read(bytes);
      const name = query?.questions[0]?.name.toLowerCase();
      if (query === undefined || (name !== ownName && !name?.endsWith(`.${loopDomain}`))) return undefined;
      if (name === ownName) heard.resolve();
      else looping = true;
      return Promise.resolve(encodeResponse(query, { rcode: RCODES.NXDOMAIN, answers: [] }, "udp"));
    },
    async begin({ servers, search }) {
      const [server = "127.0.0.1"] = servers;
      const ask = () => machine.tell("ask", server, ownName);
      await ask();
      using _again = repeat(ask, AGAIN_MS, (error) => log.debug(messageOf(error)));
      using late = deadline(OWN_MS, () => {
        return new UserError(
          `Cannot use --method vpn-tcp: what this machine asks its name server ${server} does not come by`,
          { hints: ["A firewall or a container's engine has other rules for it: --method namespace does without"] },
        );
      });
      await abortable(heard.promise, late.signal);
      void beginLooking();
      await Promise.all(search.map((domain) =>
        lookForWildcard(domain, server).catch((error) => {
          if (!(error instanceof DnsFormatError)) throw error;
        })
      ));
    },
  };
}

function read(bytes: Uint8Array) {
  try {
    return decodeMessage(bytes);
  } catch (error) {
    if (!(error instanceof DnsFormatError)) throw error;
    return undefined;
  }
}

/** A query for an address. */
function makeQuery(name: string): Uint8Array<ArrayBuffer> {
  const [id = 0] = crypto.getRandomValues(new Uint16Array(1));
  return encodeMessage(queryFor(id, name, TYPES.A));
}
