import { UserError } from "@/util/mod.ts";
import type { Plan } from "../plan/plan.ts";
import type { Original } from "./original.ts";

/** Ports that programs without privileges may not bind, unless the network namespace says otherwise (ip(7)). */
export const FIRST_HIGH = 1024;

/** Those of the plan's ports that the agent is to bind below 1024. */
export function lowPortsOf({ expose, fromPod }: Pick<Plan, "expose" | "fromPod">): number[] {
  return [...expose.map(({ pod }) => pod), ...fromPod].filter((port) => port < FIRST_HIGH);
}

/**
 * Sees that the agent will be able to bind them. On a node's network the setting that lets everybody do so is the
 * node's own; what is left is root's capability, which a container of another user is not given.
 *
 * @throws {UserError} when it will not: the original would have gone for nothing
 */
export function requireBindable(plan: Plan, original: Original, { user }: { readonly user: number }): void {
  const low = lowPortsOf(plan);
  if (original.template.spec.hostNetwork !== true || user === 0 || low.length === 0) return;
  const ports = `${low.length === 1 ? "port" : "ports"} ${low.join(", ")}`;
  throw new UserError(
    `Cannot expose ${ports} of ${original.kind} "${original.name}": its pod uses the node's network, where user ` +
      `${user} may not listen below ${FIRST_HIGH}`,
    { hints: [`It can with root in the container "${original.container}" (securityContext.runAsUser: 0)`] },
  );
}
