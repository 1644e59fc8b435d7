import * as z from "zod/mini";
import { UserError } from "@/util/mod.ts";

/**
 * The body of an answer that is not a success, as far as we use it.
 * {@link https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/}
 */
const statusSchema = z.object({
  kind: z.optional(z.literal("Status")), // the one that ends an exec has none
  status: z.enum(["Success", "Failure"]),
  message: z.optional(z.string()),
  reason: z.optional(z.string()),
  code: z.optional(z.number()),
  details: z.nullish(z.object({
    name: z.optional(z.string()),
    group: z.optional(z.string()),
    kind: z.optional(z.string()),
    causes: z.nullish(z.array(z.object({
      reason: z.optional(z.string()),
      message: z.optional(z.string()),
      field: z.optional(z.string()),
    }))),
  })),
});

/** One of the reasons that the API server gives in a refusal. */
export interface StatusCause {
  readonly reason: string;
  readonly message: string;
  /** Path of the field that is meant, or empty. */
  readonly field: string;
}

/** What a `Status` object says. */
export interface Status {
  readonly success: boolean;
  readonly message: string;
  /** One word of the API (`NotFound`, `Conflict`, `Forbidden`), or empty. */
  readonly reason: string;
  /** The HTTP status, or 0 where the object names none. */
  readonly code: number;
  readonly causes: readonly StatusCause[];
}

/** The status inside `value`, or undefined where it is none. */
export function parseStatus(value: unknown): Status | undefined {
  const { data } = statusSchema.safeParse(value);
  if (data === undefined) return undefined;
  const causes = data.details?.causes ?? [];
  return {
    success: data.status === "Success",
    message: data.message ?? "",
    reason: data.reason ?? "",
    code: data.code ?? 0,
    causes: causes.map(({ reason = "", message = "", field = "" }) => ({ reason, message, field })),
  };
}

/** The status in an answer's text, or undefined where it is none (a proxy's page, say). */
export function parseStatusText(text: string): Status | undefined {
  try {
    return parseStatus(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/**
 * What the API server refused, with its own words. The message is "Cannot <act> <what>: <the server's words>".
 */
export class KubeError extends UserError {
  override readonly name = "KubeError";
  /** The HTTP status. */
  readonly status: number;
  /** One word of the API (`NotFound`, `Conflict`, `Forbidden`), or empty where the answer was no `Status`. */
  readonly reason: string;
  /** The server's own words. */
  readonly words: string;
  readonly causes: readonly StatusCause[];

  constructor(
    message: string,
    fields: {
      status: number;
      reason?: string;
      words?: string;
      causes?: readonly StatusCause[];
      hints?: readonly string[];
    },
  ) {
    super(message, { hints: fields.hints ?? [] });
    this.status = fields.status;
    this.reason = fields.reason ?? "";
    this.words = fields.words ?? "";
    this.causes = fields.causes ?? [];
  }
}

/** Whether there is no such object (404). */
export function isNotFound(error: unknown): error is KubeError {
  return error instanceof KubeError && error.status === 404;
}

/** Whether the object was changed by somebody else in between, or a precondition failed (409, not `AlreadyExists`). */
export function isConflict(error: unknown): error is KubeError {
  return error instanceof KubeError && error.status === 409 && error.reason !== "AlreadyExists";
}

/** Whether an object of this name is there already (409 `AlreadyExists`). */
export function isAlreadyExists(error: unknown): error is KubeError {
  return error instanceof KubeError && error.status === 409 && error.reason === "AlreadyExists";
}

/** Whether we may not (403). */
export function isForbidden(error: unknown): error is KubeError {
  return error instanceof KubeError && error.status === 403;
}

/** Whether nothing can be made in a namespace any more, as it is being deleted. */
export function isNamespaceTerminating(error: unknown): error is KubeError {
  return isForbidden(error) && error.causes.some(({ reason }) => reason === "NamespaceTerminating");
}

/** Whether the server does not know who we are (401). */
export function isUnauthorized(error: unknown): error is KubeError {
  return error instanceof KubeError && error.status === 401;
}

/** Whether the object itself is wrong (422). */
export function isInvalid(error: unknown): error is KubeError {
  return error instanceof KubeError && error.status === 422;
}

/** Whether a `resourceVersion` or a page of a list is too old (410 `Gone` or `Expired`). */
export function isGone(error: unknown): error is KubeError {
  return error instanceof KubeError && error.status === 410;
}
