import type { ObjectRoute } from "./resources.ts";
import { forbidden, Refusal } from "./refusal.ts";

/** A request as RBAC sees it. */
export interface Asked {
  readonly user: string;
  /** `get`, `list`, `watch`, `create`, `patch`, `update` or `delete`. */
  readonly verb: string;
  readonly route: ObjectRoute;
  readonly dryRun: boolean;
}

/** Which requests are meant; what is left out matches all. */
export interface Match {
  readonly verb?: string;
  /** As in a rule of RBAC: `deployments`, `pods/portforward`. */
  readonly resource?: string;
  readonly namespace?: string;
  readonly dryRun?: boolean;
}

/** What becomes of a request. */
export type Fault =
  /** 403 in RBAC's words. */
  | { readonly kind: "forbid" }
  /** Any other refusal. */
  | { readonly kind: "refuse"; readonly refusal: Refusal }
  /** Something before the server answers, with a page of its own. */
  | { readonly kind: "page"; readonly status: number; readonly text: string }
  /** Nothing is done, and the connection is cut before an answer. */
  | { readonly kind: "cut" }
  /** It is done, and the connection is cut in the middle of the answer. */
  | { readonly kind: "cut-answer" }
  /** It is done, and answered with what is no object at all. */
  | { readonly kind: "nonsense" }
  /** It is never answered. */
  | { readonly kind: "stall" };

/** A request that waits until it is let go. */
export interface Hold {
  /** Resolves when a request is waiting here. */
  readonly reached: Promise<void>;
  /** Lets it go on, and all after it. */
  release(): void;
}

/** What is wrong with the cluster, changed while it runs. */
export interface Faults {
  /** Lets requests fail: the next `times` ones (all), after `skip` others (none). */
  add(match: Match, fault: Fault, times?: number, skip?: number): void;
  /** Lets requests wait. */
  hold(match: Match): Hold;
  /** Takes every fault away and lets go what waits. */
  clear(): void;
  /** What is wrong with a request; waits where it is held. @throws {Refusal} */
  meet(asked: Asked): Promise<Fault | undefined>;
}

/** "Too many requests", and when to come again. */
export function tooManyRequests(retryAfter: number): Refusal {
  return new Refusal(429, "the server has received too many requests and has asked us to try again later", {
    reason: "TooManyRequests",
    retryAfter,
  });
}

/** What a server says while it starts or ends. */
export function unavailable(retryAfter?: number): Refusal {
  return new Refusal(503, "the server is currently unable to handle the request", {
    reason: "ServiceUnavailable",
    retryAfter,
  });
}

/** No faults yet. */
export function makeFaults(): Faults {
  let rules: { match: Match; fault: Fault; left: number; skip: number }[] = [];
  let holds: { match: Match; reached: () => void; released: Promise<void>; release: () => void }[] = [];
  return {
    add: (match, fault, times = Infinity, skip = 0) => void rules.push({ match, fault, left: times, skip }),
    hold(match) {
      const reached = Promise.withResolvers<void>();
      const released = Promise.withResolvers<void>();
      const entry = { match, reached: reached.resolve, released: released.promise, release: released.resolve };
      holds.push(entry);
      return {
        reached: reached.promise,
        release() {
          holds = holds.filter((each) => each !== entry);
          entry.release();
        },
      };
    },
    clear() {
      rules = [];
      for (const { release } of holds.splice(0)) release();
    },
    async meet(asked) {
      for (const held of holds.filter(({ match }) => matches(match, asked))) {
        held.reached();
        await held.released;
      }
      const rule = rules.find(({ match, left }) => left > 0 && matches(match, asked));
      if (rule === undefined || rule.skip-- > 0) return undefined;
      rule.left--;
      if (rule.fault.kind === "forbid") throw forbidden({ ...asked, ...asked.route });
      if (rule.fault.kind === "refuse") throw rule.fault.refusal;
      return rule.fault;
    },
  };
}

function matches(match: Match, { verb, route, dryRun }: Asked): boolean {
  const full = route.subresource === undefined
    ? route.resource.plural
    : `${route.resource.plural}/${route.subresource}`;
  return (match.verb === undefined || match.verb === verb) &&
    (match.resource === undefined || match.resource === full) &&
    (match.namespace === undefined || match.namespace === route.namespace) &&
    (match.dryRun === undefined || match.dryRun === dryRun);
}
