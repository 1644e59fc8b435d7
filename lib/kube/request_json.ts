import { UserError } from "@/util/mod.ts";
import type { Api, ApiRequest } from "./api.ts";
import { describeMisfit } from "./misfit.ts";

/**
 * Sends a request and parses the JSON of its answer.
 *
 * @throws {UserError} when the answer is no JSON, or not what `parse` takes: no answer of an API server, or of one that
 * has moved on from the API that we know; and what `Api.request` throws
 */
export async function requestJson<T>(
  api: Api,
  request: ApiRequest,
  parse: (value: unknown) => T,
  signal: AbortSignal | undefined,
): Promise<T> {
  using response = await api.request(request, signal);
  const text = await response.text();
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new UserError(`Cannot ${request.action}: what answered is no API server: "${text.trim().slice(0, 60)}"`, {
      hints: ["Something before the API server may want a login: try kubectl version"],
    });
  }
  return parseAnswer(parse, value, request.action);
}

/** Parses what a server sent. @throws {UserError} when it is not what `parse` takes */
export function parseAnswer<T>(parse: (value: unknown) => T, value: unknown, action: string): T {
  try {
    return parse(value);
  } catch (error) {
    const state = `the API server's answer is not what it should be (${describeMisfit(error)})`;
    throw new UserError(`Cannot ${action}: ${state}`);
  }
}
