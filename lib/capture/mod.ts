/**
 * How a process on the host comes to use the pod's network: the methods, behind one interface.
 *
 * Invariant: knows the pod as the interface `Pod` alone, and does not launch the command: it hands out words and an
 * environment.
 *
 * ```ts ignore
 * await using capture = await startInject(pod, { shim });
 * const [program, ...args] = capture.command(["curl", "http://helloworld"]);
 * const child = new Deno.Command(program, { args, clearEnv: true, env: capture.environment(variables) }).spawn();
 * ```
 *
 * @module
 */
export type { Capture, FilePath, Method, PodView, ProgramOptions } from "./method.ts";
export { type CarriableOptions, requireCarriable } from "./inject/carriable.ts";
export { refusalOf } from "./inject/carriable.ts";
export {
  type Choice,
  CHOICES,
  chooseMethod,
  hasMethods,
  METHOD_FACTS,
  type MethodName,
  METHODS,
  NO_METHOD_HINTS,
  whyNoMethod,
} from "./choose.ts";
export { carriedTable, methodsPage } from "./methods_page.ts";
export { type NamespaceOptions, startNamespace } from "./namespace/namespace.ts";
export { type NamespaceVerdict, probeNamespace, type ProbeOptions } from "./namespace/probe.ts";
export type { TcpSettings } from "./inject/plug.ts";
export { type InjectOptions, startInject } from "./inject/inject.ts";
export { type InjectProbeOptions, probeInject } from "./inject/probe.ts";
export { isMachineLeft, recoverMachine } from "./vpn/leftover.ts";
export { type Machine, type MachineOptions, openMachine, wordsOfRoot } from "./vpn/machine.ts";
export { type MachineRoute, requireNoOverlap } from "./vpn/overlap.ts";
export { coverOf, formatRange, parseRange, type Range } from "./vpn/ranges.ts";
export { sortWords, startVpn, type VpnOptions } from "./vpn/vpn.ts";
export { injectTcp } from "./inject/inject_tcp.ts";
export { MACHINES, readElf } from "./inject/elf.ts";
