/** What JSON can hold. */
export type Json = null | boolean | number | string | Json[] | JsonObject;
/** An object of JSON; a field that is undefined is not written. */
export type JsonObject = { [field: string]: Json | undefined };

/** Whether a value is an object with fields. */
export function isRecord(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What is at the end of a path of fields; undefined where the path ends before. */
export function at(value: Json | undefined, ...path: string[]): Json | undefined {
  return path.reduce<Json | undefined>((inside, field) => isRecord(inside) ? inside[field] : undefined, value);
}

/** The text at the end of a path, or an empty one. */
export function textAt(value: Json | undefined, ...path: string[]): string {
  const found = at(value, ...path);
  return typeof found === "string" ? found : "";
}

/** A change by RFC 7396: fields of `patch` replace those of `target`, null takes them away. */
export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isRecord(patch)) return patch;
  const result: JsonObject = isRecord(target) ? { ...target } : {};
  for (const [field, value] of Object.entries(patch)) {
    if (value === null || value === undefined) delete result[field];
    else result[field] = mergePatch(result[field], value);
  }
  return result;
}
