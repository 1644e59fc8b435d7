/**
 * The text of kubeconfig files: YAML to exact types, the list of files merged as client-go does.
 * {@link https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/}
 *
 * @module
 */
import { messageOf, UserError } from "@/util/mod.ts";
import { CORE_SCHEMA, FAILSAFE_SCHEMA, load, nullCoreTag, type Schema } from "js-yaml";
import { dirname } from "node:path";
import * as z from "zod/mini";
import { describeMisfit } from "./misfit.ts";

/**
 * Every scalar stays the text that is written (a token of digits alone is no number), but for null: `kubectl config`
 * writes it where it means nothing.
 */
const YAML_SCHEMA = FAILSAFE_SCHEMA.withTags(nullCoreTag);

const text = z.pipe(z.nullish(z.string()), z.transform((value) => value ?? ""));
/** As kubectl's parser (YAML 1.1) reads them. */
const flag = z.pipe(
  z.nullish(z.string().check(z.regex(/^(?:true|false|yes|no|on|off|y|n|)$/i))),
  z.transform((value) => /^(?:true|yes|on|y)$/i.test(value ?? "")),
);
const texts = list(z.string());

const clusterSchema = z.object({
  server: text,
  "tls-server-name": text,
  "insecure-skip-tls-verify": flag,
  "certificate-authority": text,
  "certificate-authority-data": text,
  "proxy-url": text,
});

const execSchema = z.object({
  apiVersion: text,
  command: text,
  args: texts,
  env: list(z.object({ name: z.string(), value: text })),
  installHint: text,
  provideClusterInfo: flag,
  interactiveMode: text,
});

const userSchema = z.object({
  "client-certificate": text,
  "client-certificate-data": text,
  "client-key": text,
  "client-key-data": text,
  token: text,
  tokenFile: text,
  username: text,
  password: text,
  as: text,
  "as-uid": text,
  "as-groups": texts,
  "as-user-extra": z.pipe(z.nullish(z.record(z.string(), texts)), z.transform((map) => map ?? {})),
  exec: z.nullish(execSchema),
  "auth-provider": z.nullish(z.object({ name: text })),
});

const contextSchema = z.object({ cluster: text, user: text, namespace: text });

const fileSchema = z.object({
  "current-context": text,
  clusters: list(z.object({ name: text, cluster: orEmpty(clusterSchema) })),
  users: list(z.object({ name: text, user: orEmpty(userSchema) })),
  contexts: list(z.object({ name: text, context: orEmpty(contextSchema) })),
});

/** The extension of a cluster that exec plugins are told about. */
const PLUGIN_EXTENSION = "client.authentication.k8s.io/exec";
const extensionsSchema = z.object({
  clusters: list(z.object({
    name: z.unknown(),
    cluster: orEmpty(z.object({ extensions: list(z.object({ name: z.unknown(), extension: z.unknown() })) })),
  })),
});

/** An entry of a kubeconfig, and where it stands. */
export interface Entry<T> {
  readonly name: string;
  readonly value: T;
  /** The file that it stands in; relative paths in it begin at that file's folder. */
  readonly file: string;
  readonly folder: string;
}

/** A cluster as it is written. */
export type ClusterEntry = Entry<z.infer<typeof clusterSchema> & { readonly pluginConfig: unknown }>;
/** A user as it is written. */
export type UserEntry = Entry<z.infer<typeof userSchema>>;
/** A context as it is written. */
export type ContextEntry = Entry<z.infer<typeof contextSchema>>;

/** Kubeconfig files, merged. */
export interface Kubeconfig {
  readonly currentContext: string;
  readonly clusters: ReadonlyMap<string, ClusterEntry>;
  readonly users: ReadonlyMap<string, UserEntry>;
  readonly contexts: ReadonlyMap<string, ContextEntry>;
}

/**
 * Parses one file's text.
 *
 * @param file its path, absolute
 * @throws {UserError} when it is no YAML, or not of a kubeconfig's shape; names file and place
 */
export function parseKubeconfig(content: string, file: string): Kubeconfig {
  const { clusters, users, contexts, "current-context": currentContext } = parseShape(
    fileSchema,
    parseYaml(content, file, YAML_SCHEMA),
    file,
  );
  requireUnique("clusters", clusters, file);
  requireUnique("users", users, file);
  requireUnique("contexts", contexts, file);
  const place = { file, folder: dirname(file) };
  const configs = pluginConfigs(content, file);
  return {
    currentContext,
    clusters: byName(clusters.map(({ name, cluster }) => ({
      name,
      value: { ...cluster, pluginConfig: configs.get(name) },
      ...place,
    }))),
    users: byName(users.map(({ name, user: value }) => ({ name, value, ...place }))),
    contexts: byName(contexts.map(({ name, context: value }) => ({ name, value, ...place }))),
  };
}

/** Merges files, the most important one first: a name is what the first file with it says, whole. */
export function mergeKubeconfigs(files: readonly Kubeconfig[]): Kubeconfig {
  return {
    currentContext: files.map(({ currentContext }) => currentContext).find((name) => name !== "") ?? "",
    clusters: byName(files.flatMap(({ clusters }) => [...clusters.values()])),
    users: byName(files.flatMap(({ users }) => [...users.values()])),
    contexts: byName(files.flatMap(({ contexts }) => [...contexts.values()])),
  };
}

/** What the clusters of a file tell exec plugins, by the cluster's name; with types, as plugins are sent JSON. */
function pluginConfigs(content: string, file: string): Map<string, unknown> {
  if (!content.includes(PLUGIN_EXTENSION)) return new Map();
  const { clusters } = parseShape(extensionsSchema, parseYaml(content, file, CORE_SCHEMA), file);
  return new Map(clusters.map(({ name, cluster }) => [
    String(name),
    cluster.extensions.find((extension) => extension.name === PLUGIN_EXTENSION)?.extension,
  ]));
}

function parseShape<T extends z.ZodMiniType>(schema: T, document: unknown, file: string): z.output<T> {
  const parsed = schema.safeParse(document);
  if (parsed.success) return parsed.data;
  const isMap = typeof document === "object" && !Array.isArray(document);
  throw new UserError(`Cannot use the kubeconfig "${file}": ${isMap ? describeMisfit(parsed.error) : "it is none"}`, {
    hints: [`Compare with: kubectl config view --raw --kubeconfig ${file}`],
  });
}

function parseYaml(content: string, file: string, schema: Schema): unknown {
  if (content.trim() === "") return {};
  try {
    return load(content, { schema }) ?? {};
  } catch (cause) {
    // The parser's message goes on with lines of the file, which may hold secrets.
    const [words = ""] = messageOf(cause).split("\n");
    throw new UserError(`Cannot read the kubeconfig "${file}": it is not YAML: ${words}`, {
      hints: [`Compare with: kubectl config view --kubeconfig ${file}`],
    });
  }
}

/** Entries by their names; of several with one name, the first. */
function byName<T>(entries: readonly Entry<T>[]): Map<string, Entry<T>> {
  const map = new Map<string, Entry<T>>();
  for (const entry of entries) if (!map.has(entry.name)) map.set(entry.name, entry);
  return map;
}

function requireUnique(kind: string, entries: readonly { name: string }[], file: string): void {
  const names = new Set<string>();
  for (const { name } of entries) {
    if (names.has(name)) throw new UserError(`Cannot use the kubeconfig "${file}": it has two ${kind} "${name}"`);
    names.add(name);
  }
}

function list<T extends z.core.$ZodType>(item: T) {
  return z.pipe(z.nullish(z.array(item)), z.transform((items): z.output<T>[] => items ?? []));
}

function orEmpty<T extends z.ZodMiniType>(schema: T) {
  return z.pipe(z.nullish(schema), z.transform((value) => value ?? schema.parse({})));
}
