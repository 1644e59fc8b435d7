/**
 * The pod's end: serves what hosts ask with the pod's own network, resolver and environment.
 *
 * Invariant: never talks to the API server; listens on the pod's loopback and on exposed ports only; nobody is served
 * who has not proved to hold the session's key.
 *
 * @module
 */
export type { AgentOptions } from "./serve.ts";
export { type HostListener, listenForHosts } from "./listen_for_hosts.ts";
export { type Flow, openFlow } from "./datagrams.ts";
export { type Links, openLinks } from "./links.ts";
export { joinStdio } from "./join_stdio.ts";
