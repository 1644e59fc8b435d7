/**
 * One run: intent, action, and the way back.
 *
 * Invariant: nothing is changed in the cluster before every check has passed; everything that is made carries the
 * session's id and is deleted by its own name and identity.
 *
 * @module
 */
export { type ExposedPort, makePlan, type Plan, type PlanOptions, type Wanted } from "./plan.ts";
export { type Around, runSession } from "./session.ts";
