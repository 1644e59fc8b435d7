/**
 * How a process on the host comes to use the pod's network: the methods, behind one interface.
 *
 * Invariant: knows the pod as the interface `Pod` alone, and launches nothing: it hands out an environment.
 *
 * ```ts ignore
 * await using capture = await startInject(pod, { shim });
 * const child = new Deno.Command("curl", { args, clearEnv: true, env: capture.environment(variables) }).spawn();
 * ```
 *
 * @module
 */
export type { Capture, Method, ProgramOptions } from "./method.ts";
export { type CarriableOptions, requireCarriable } from "./inject/carriable.ts";
export type { TcpSettings } from "./inject/plug.ts";
export { type InjectOptions, startInject } from "./inject/inject.ts";
export { injectTcp } from "./inject/inject_tcp.ts";
