import type { Method } from "../method.ts";
import { requireCarriable } from "./carriable.ts";
import { type InjectOptions, startInject } from "./inject.ts";

/** What the preload shim cannot do (shim/README.md, "What cannot be covered"). */
export const INJECT_LIMITS = [
  "Statically linked programs and Go programs are refused: no library can be preloaded into them",
  "Programs that are setuid, setgid or have file capabilities are refused, unless they are the user's own",
  "Ping and multicast stay on the host, and that a peer of UDP refused is not told: no answer comes",
  "A program that changes to another user loses the session: its connections fail",
  "Connects by io_uring stay on the host",
] as const;

/** The method `inject-tcp`: a library preloaded into the command and into what it starts; needs no rights at all. */
export function injectTcp(options: InjectOptions): Method {
  return {
    name: "inject-tcp",
    limits: INJECT_LIMITS,
    requireCarriable,
    start: (pod, waiting = {}) => startInject(pod, { ...options, ...waiting }),
  };
}
