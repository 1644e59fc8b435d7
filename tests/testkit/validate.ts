import { at, isRecord, type JsonObject } from "./json.ts";
import { type Fault422, invalid } from "./refusal.ts";
import type { ServedResource } from "./resources.ts";

const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const SUBDOMAIN_WORDS =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and " +
  "end with an alphanumeric character (e.g. 'example.com', regex used for validation is " +
  "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;
const LABEL_WORDS =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and " +
  "end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is " +
  "'[a-z]([-a-z0-9]*[a-z0-9])?')";

/**
 * The checks that people run into: names, and the two of a Deployment that go together.
 *
 * @throws {Refusal} 422
 */
export function requireValid(resource: ServedResource, name: string, object: JsonObject): void {
  const faults = [...nameFaults(resource, name), ...(resource.kind === "Deployment" ? deploymentFaults(object) : [])];
  if (faults.length > 0) throw invalid(resource, name, faults);
}

function nameFaults({ kind }: ServedResource, name: string): Fault422[] {
  const [pattern, words, most] = kind === "Service" ? [LABEL, LABEL_WORDS, 63] : [SUBDOMAIN, SUBDOMAIN_WORDS, 253];
  const fault = (message: string): Fault422 => ({ field: "metadata.name", reason: "FieldValueInvalid", message });
  return [
    ...(name.length > most ? [fault(`Invalid value: "${name}": must be no more than ${most} characters`)] : []),
    ...(pattern.test(name) ? [] : [fault(`Invalid value: "${name}": ${words}`)]),
  ];
}

function deploymentFaults(object: JsonObject): Fault422[] {
  const wanted = at(object, "spec", "selector", "matchLabels");
  const given = at(object, "spec", "template", "metadata", "labels");
  const containers = at(object, "spec", "template", "spec", "containers");
  const labels = isRecord(given) ? given : {};
  const selected = isRecord(wanted) && Object.entries(wanted).every(([key, value]) => labels[key] === value);
  const faults: Fault422[] = [];
  if (!selected) {
    faults.push({
      field: "spec.template.metadata.labels",
      reason: "FieldValueInvalid",
      message: `Invalid value: ${JSON.stringify(labels)}: \`selector\` does not match template \`labels\``,
    });
  }
  if (!Array.isArray(containers) || containers.length === 0) {
    faults.push({
      field: "spec.template.spec.containers",
      reason: "FieldValueRequired",
      message: "Required value",
    });
  }
  return faults;
}
