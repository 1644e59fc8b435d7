import { type JsonObject, textAt } from "./json.ts";
import { badRequest } from "./refusal.ts";

/** Whether an object is meant. */
export type Selector = (object: JsonObject) => boolean;

/**
 * Reads the two selectors of a list's query.
 *
 * @throws {Refusal} for a field that cannot be selected by, and for what is no selector
 */
export function readSelectors(query: URLSearchParams, plural: string): Selector {
  const byLabels = labelSelector(query.get("labelSelector") ?? "");
  const byFields = fieldSelector(query.get("fieldSelector") ?? "", plural);
  return (object) => byLabels(object) && byFields(object);
}

function labelSelector(text: string): Selector {
  // Commas inside parentheses part values, not requirements.
  const requirements = text.split(/,(?![^(]*\))/).filter((part) => part.trim() !== "").map(requirement);
  return (object) => requirements.every((holds) => holds(object));
}

function requirement(text: string): Selector {
  const set = /^\s*([\w./-]+)\s+(in|notin)\s+\(([^)]*)\)\s*$/.exec(text);
  if (set !== null) {
    const [, key = "", operator, list = ""] = set;
    const values = list.split(",").map((value) => value.trim());
    return (object) => values.includes(label(object, key) ?? "\0") === (operator === "in");
  }
  const equality = /^\s*([\w./-]+)\s*(==|=|!=)\s*([\w.-]*)\s*$/.exec(text);
  if (equality !== null) {
    const [, key = "", operator, value] = equality;
    return (object) => (label(object, key) === value) === (operator !== "!=");
  }
  const presence = /^\s*(!?)\s*([\w./-]+)\s*$/.exec(text);
  if (presence === null) throw badRequest("unable to parse requirement: found '=', expected: identifier");
  const [, not, key = ""] = presence;
  return (object) => (label(object, key) !== undefined) === (not === "");
}

function label(object: JsonObject, key: string): string | undefined {
  const labels = object["metadata"];
  const found = typeof labels === "object" && labels !== null && !Array.isArray(labels) ? labels["labels"] : undefined;
  const value = typeof found === "object" && found !== null && !Array.isArray(found) ? found[key] : undefined;
  return typeof value === "string" ? value : undefined;
}

/** Every resource can be selected by these; a few by more. */
const FIELDS = ["metadata.name", "metadata.namespace"];
const MORE_FIELDS: Readonly<Record<string, readonly string[]>> = {
  pods: ["spec.nodeName", "status.phase", "status.podIP", "spec.restartPolicy", "spec.serviceAccountName"],
  events: ["involvedObject.kind", "involvedObject.name", "involvedObject.uid", "reason", "type"],
};

function fieldSelector(text: string, plural: string): Selector {
  const allowed = [...FIELDS, ...MORE_FIELDS[plural] ?? []];
  const parts = text.split(",").filter((part) => part !== "").map((part) => {
    const [, field = "", operator, value] = /^([\w.]+)(==|=|!=)(.*)$/.exec(part) ?? [];
    if (operator === undefined) throw badRequest(`invalid selector: '${part}'; can't understand '${part}'`);
    if (!allowed.includes(field)) {
      const known = FIELDS.map((name) => `"${name}"`).join(", ");
      throw badRequest(`"${field}" is not a known field selector: only ${known}`);
    }
    return { path: field.split("."), value, equal: operator !== "!=" };
  });
  return (object) => parts.every(({ path, value, equal }) => (textAt(object, ...path) === value) === equal);
}
