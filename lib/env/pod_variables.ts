/** What a pod's template says of the environment of one of its containers. */
export interface TemplateEnvironment {
  /** The names in its `env`, without those of the agent. */
  readonly names: readonly string[];
  /** The names in its `env` that are there for the agent's own runtime. @default {none} */
  readonly agent?: readonly string[];
  /** Whether it has `envFrom` without {@linkcode SOURCE_MARK}, the names of which only the cluster knows. */
  readonly sources: boolean;
}

/** The variables of a container, sorted by what they mean on another machine. */
export interface PodVariables {
  /** What a process that behaves as in the pod has to have. */
  readonly variables: Readonly<Record<string, string>>;
  /** Names that are about the pod's file system and its libraries, so that they would break programs of the host. */
  readonly loader: readonly string[];
  /** Names that came from the image of the agent, or from what runs it, and not from the pod's template. */
  readonly image: readonly string[];
}

/**
 * The prefix that the variables of each `envFrom` have in the agent's container. So the names which came from there are
 * known exactly, without the right to read ConfigMaps and Secrets; and none of them can reach the agent's own runtime,
 * whatever they are called.
 */
export const SOURCE_MARK = "TELEPRESENCE_FROM_";

/**
 * In front of the names of variables that the container got under another name, as the agent's own runtime would obey
 * them: `NODE_OPTIONS`, say. The user's process gets them under their true names.
 */
export const KEPT_PREFIX = "TELEPRESENCE_KEPT_";

const MARKED_REFERENCE = new RegExp(`\\$\\(${SOURCE_MARK}([^)]+)\\)`, "g");

/** Places of the pod and its name, as in Telepresence 1; then what loads libraries that only the pod has. */
const PLACES = /^(?:HOME|PATH|HOSTNAME)$/;
const LOADER = /^LD_/;
/** What the agent's own runtime reads, and its image sets. */
const RUNTIME = /^DENO_/;

/**
 * Sorts the variables that a container was started with.
 *
 * The image in which the agent runs is not the user's, so what it brings must not reach the user's process. There is no
 * asking it: its ENV is not in the API, and the order of a process's variables is the container runtime's own affair.
 * So the rest is counted out: what the template names, what came from its `envFrom` (marked, see
 * {@linkcode SOURCE_MARK}) and the variables of Services, whose grammar is the kubelet's. Everything else is the
 * image's. What `env` and `envFrom` both name is `env`'s, as in Kubernetes. Where `envFrom` is not marked (a Deployment
 * that is not ours), only the agent's and its runtime's own names are known for certain, and only they are left out: a
 * variable too many is better than one that is missing.
 */
export function podVariables(
  started: Readonly<Record<string, string>>,
  { names, agent = [], sources }: TemplateEnvironment,
): PodVariables {
  const own = new Set(names.map(trueName));
  const { container, marked } = withTrueNames(started, own);
  const isOfService = serviceVariables(container);
  const isKnown = (name: string) => own.has(name) || marked.has(name) || isOfService(name);
  const isOfImage = (name: string) => !isKnown(name) && (!sources || RUNTIME.test(name) || agent.includes(name));
  const variables: Record<string, string> = {};
  const loader: string[] = [];
  const image: string[] = [];
  for (const [name, value] of Object.entries(container)) {
    if (PLACES.test(name)) continue;
    if (isOfImage(name)) image.push(name);
    else if (LOADER.test(name)) loader.push(name);
    else variables[name] = own.has(name) ? withReferences(value, isOfService, container) : value;
  }
  return { variables, loader, image };
}

/**
 * The variables that a container has of its image alone: what it was started with, without places, libraries, the
 * variables of Services, and what the pod has anyway.
 *
 * @param block what `/proc/self/environ` of a program in that container says: `NAME=value`, each ended by a NUL. A value
 * that is no UTF-8 arrives with U+FFFD in it, and is left out: a wrong one is worse than none
 * @param ofPod the variables of the pod that takes the container's place
 */
export function imageVariables(block: string, ofPod: Readonly<Record<string, string>>): Record<string, string> {
  const entries = block.split("\0").map((entry) => /^([^=]+)=([^]*)$/.exec(entry) ?? [])
    .flatMap(([, name, value]) => name === undefined || value === undefined ? [] : [[name, value] as const]);
  const isOfService = serviceVariables(Object.fromEntries(entries));
  return Object.fromEntries(
    entries.filter(([name, value]) =>
      !PLACES.test(name) && !LOADER.test(name) && !isOfService(name) && !(name in ofPod) &&
      !name.startsWith("TELEPRESENCE_") && !`${name}${value}`.includes("\ufffd")
    ),
  );
}

function trueName(name: string): string {
  return name.startsWith(KEPT_PREFIX) ? name.slice(KEPT_PREFIX.length) : name;
}

/**
 * The variables under their true names: what was kept aside, and what came from `envFrom` and is not in `env`, stand
 * for the agent's own of that name.
 */
function withTrueNames(
  started: Readonly<Record<string, string>>,
  own: ReadonlySet<string>,
): { container: Record<string, string>; marked: ReadonlySet<string> } {
  const container: Record<string, string> = {};
  const [kept, marked]: [Record<string, string>, Record<string, string>] = [{}, {}];
  for (const [name, value] of Object.entries(started)) {
    if (name.startsWith(KEPT_PREFIX)) kept[trueName(name)] = value;
    else if (!name.startsWith(SOURCE_MARK)) container[name] = value;
    else if (!own.has(name.slice(SOURCE_MARK.length))) marked[name.slice(SOURCE_MARK.length)] = value;
  }
  return { container: { ...container, ...marked, ...kept }, marked: new Set(Object.keys(marked)) };
}

/**
 * A value of `env` in which references (`$(NAME)`) to what might have come from `envFrom` were told to look there, and
 * found nothing: then they are to a variable of a Service, or to nothing at all, which stays as it was written.
 */
function withReferences(
  value: string,
  isOfService: (name: string) => boolean,
  container: Readonly<Record<string, string>>,
): string {
  return value.replaceAll(MARKED_REFERENCE, (_all, name: string) => {
    return isOfService(name) ? container[name] ?? "" : `$(${name})`;
  });
}

/**
 * Tells which names are variables of Services.
 *
 * Grammar: {@link https://kubernetes.io/docs/tutorials/services/connect-applications-service/#environment-variables}
 */
function serviceVariables(container: Readonly<Record<string, string>>): (name: string) => boolean {
  const isService = (prefix: string | undefined) =>
    prefix !== undefined && `${prefix}_SERVICE_HOST` in container && `${prefix}_SERVICE_PORT` in container;
  return (name) =>
    isService(/^(.+?)_SERVICE_(?:HOST|PORT(?:_.+)?)$/.exec(name)?.[1]) ||
    isService(/^(.+)_SERVICE_(?:HOST|PORT(?:_.+)?)$/.exec(name)?.[1]) ||
    isService(/^(.+?)_PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?$/.exec(name)?.[1]);
}
