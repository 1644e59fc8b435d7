/**
 * One run: intent, action, and the way back.
 *
 * Invariant: nothing is changed in the cluster before every check has passed; everything that is made carries the
 * session's id and is deleted by its own name and identity.
 *
 * @module
 */
export { type AgentManifestOptions, type AgentManifestWanted, showAgentManifest } from "./proxy/agent_manifest.ts";
export { imageFor } from "./proxy/image.ts";
export { type ExposedPort, makePlan, type Operation, type Plan, type PlanOptions, type Wanted } from "./plan/plan.ts";
export { guard, type GuardOptions } from "./safety/guardian.ts";
export { GUARDIAN } from "./safety/safety.ts";
export { recover, type RecoverOptions, type RecoverWanted } from "./safety/recover.ts";
export { printReport, readRecord, reportPage } from "./traffic/report.ts";
export { type WatchOptions, watchSessions, type WatchWanted } from "./traffic/watch.ts";
export { leftSessions, showStatus, type StatusWanted } from "./safety/status.ts";
export { doctor, type DoctorOptions, type DoctorWanted } from "./doctor/doctor.ts";
export { type Finding, type State } from "./doctor/finding.ts";
export { thisMachine } from "./doctor/this_machine.ts";
export { type Machine } from "./doctor/machine_checks.ts";
export { type Needs, optionalRights, type Right, rightsFor, rulesOf } from "./plan/rights.ts";
export type { Around } from "./around.ts";
export { runSession } from "./session.ts";
export type { Teller } from "./teller.ts";
export { type Original, WORKLOAD_KINDS, type WorkloadKind, type WorkloadName } from "./workload/original.ts";
