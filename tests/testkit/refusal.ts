import type { Json } from "./json.ts";
import type { ServedResource } from "./resources.ts";

/** An answer that is no success, as the real server words it (seen on 1.34). */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly status: number;
  readonly reason: string;
  readonly details: Json | undefined;
  /** Seconds for `Retry-After`. */
  readonly retryAfter: number | undefined;

  constructor(
    status: number,
    message: string,
    fields: { reason: string; details?: Json; retryAfter?: number | undefined },
  ) {
    super(message);
    this.status = status;
    this.reason = fields.reason;
    this.details = fields.details;
    this.retryAfter = fields.retryAfter;
  }

  /** The body of the answer. */
  toStatus(): Json {
    return {
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message: this.message,
      reason: this.reason,
      details: this.details,
      code: this.status,
    };
  }
}

/** `deployments.apps`, as the server writes a resource in its sentences. */
function qualified({ plural, group }: ServedResource): string {
  return group === "" ? plural : `${plural}.${group}`;
}

function detailsOf({ plural, group }: ServedResource, name: string): Json {
  return { name, ...(group !== "" && { group }), kind: plural };
}

/** No object has this name. */
export function notFound(resource: ServedResource, name: string): Refusal {
  return new Refusal(404, `${qualified(resource)} "${name}" not found`, {
    reason: "NotFound",
    details: detailsOf(resource, name),
  });
}

/** For a path under a group that is served, whose resource is not. */
export function noSuchResource(): Refusal {
  return new Refusal(404, "the server could not find the requested resource", { reason: "NotFound", details: {} });
}

/** An object has this name already. */
export function alreadyExists(resource: ServedResource, name: string): Refusal {
  return new Refusal(409, `${qualified(resource)} "${name}" already exists`, {
    reason: "AlreadyExists",
    details: detailsOf(resource, name),
  });
}

/** The object that has the name is not the one that was meant. */
export function uidConflict({ kind, group }: ServedResource, name: string, wanted: string, found: string): Refusal {
  const what = group === "" ? kind : `${kind}.${group}`;
  return new Refusal(
    409,
    `Operation cannot be fulfilled on ${what} "${name}": the UID in the precondition (${wanted}) does not match the ` +
      `UID in record (${found}). The object might have been deleted and then recreated`,
    { reason: "Conflict", details: { name, ...(group !== "" && { group }), kind } },
  );
}

/** The object is no longer the one that was read. */
export function versionConflict(resource: ServedResource, name: string): Refusal {
  return new Refusal(
    409,
    `Operation cannot be fulfilled on ${qualified(resource)} "${name}": the object has been modified; please apply ` +
      "your changes to the latest version and try again",
    { reason: "Conflict", details: detailsOf(resource, name) },
  );
}

/** One thing that is wrong with an object. */
export interface Fault422 {
  readonly field: string;
  readonly reason: "FieldValueInvalid" | "FieldValueRequired";
  readonly message: string;
}

/** The object itself is wrong. */
export function invalid({ kind, group }: ServedResource, name: string, faults: readonly Fault422[]): Refusal {
  const words = faults.map(({ field, message }) => `${field}: ${message}`);
  const what = group === "" ? kind : `${kind}.${group}`;
  return new Refusal(
    422,
    `${what} "${name}" is invalid: ${words.length === 1 ? words[0] : `[${words.join(", ")}]`}`,
    {
      reason: "Invalid",
      details: {
        ...(name !== "" && { name }),
        ...(group !== "" && { group }),
        kind,
        causes: faults.map(({ reason, message, field }) => ({ reason, message, field })),
      },
    },
  );
}

/** The request makes no sense. */
export function badRequest(message: string): Refusal {
  return new Refusal(400, message, { reason: "BadRequest" });
}

/** Nobody knows who asks. */
export function unauthorized(): Refusal {
  return new Refusal(401, "Unauthorized", { reason: "Unauthorized" });
}

/** A version that the server has forgotten. */
export function expired(wanted: number, oldest: number): Refusal {
  return new Refusal(410, `too old resource version: ${wanted} (${oldest})`, { reason: "Expired" });
}

/** What RBAC does not allow. */
export interface Forbidden {
  readonly user: string;
  readonly verb: string;
  readonly resource: ServedResource;
  readonly subresource?: string | undefined;
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
}

/** Who asks may not, in RBAC's words. */
export function forbidden({ user, verb, resource, subresource, namespace, name }: Forbidden): Refusal {
  const what = `${qualified(resource)}${name === undefined ? "" : ` "${name}"`}`;
  const full = subresource === undefined ? resource.plural : `${resource.plural}/${subresource}`;
  const where = namespace === undefined ? "at the cluster scope" : `in the namespace "${namespace}"`;
  return new Refusal(
    403,
    `${what} is forbidden: User "${user}" cannot ${verb} resource "${full}" in API group "${resource.group}" ${where}`,
    { reason: "Forbidden", details: detailsOf(resource, name ?? "") },
  );
}
