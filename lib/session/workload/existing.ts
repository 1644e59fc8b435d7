/**
 * A proxy that is there already (`--deployment`): a Deployment that somebody installed with `telepresence
 * agent-manifest`, and that any number of sessions use one after another, or at a time.
 *
 * Who may use it is the cluster's decision: its agent lets in who holds the private key, and that is in a Secret beside
 * it. Reading ConfigMaps or pods is not enough.
 *
 * @module
 */
import { type Container, type Deployment, deployments, isNotFound, type KubeClient, secrets } from "@/kube/mod.ts";
import { importPrivateKey } from "@/transport/mod.ts";
import { messageOf, UserError } from "@/util/mod.ts";
import { whyNoPodComes } from "./no_pod.ts";

/** A proxy as it was found. */
export interface Existing {
  /** The agent's container. */
  readonly container: string;
  /** By which its pods are found. */
  readonly podSelector: string;
  readonly agentPort: number;
  /** TCP ports that the container declares: they are exposed, as in Telepresence 1. */
  readonly ports: readonly number[];
  readonly image: string;
  /** With which the agent lets us in. */
  readonly key: CryptoKey;
}

/** What reading needs. */
export interface ExistingOptions {
  readonly kube: KubeClient;
  readonly namespace: string;
  readonly signal: AbortSignal;
}

/** By what proxies are found: the label, with its value, of those that `agent-manifest` prints. */
export const PROXY_LABEL = "app.kubernetes.io/name=telepresence-agent";

/** The Secret beside a proxy. */
export function nameOfKeySecret(proxy: string): string {
  return `${proxy}-key`;
}

/** In that Secret, the private key: PKCS #8 in base64url, as text. */
export const KEY_FIELD = "key";

/**
 * Reads a proxy that is there.
 *
 * @throws {UserError} when it is not there, is no proxy of ours, or has no pods
 */
export async function readExisting(name: string, options: ExistingOptions): Promise<Existing> {
  const { kube, namespace, signal } = options;
  const install = (proxy: string) =>
    `telepresence agent-manifest ${proxy} --namespace ${namespace} | kubectl apply -f -`;
  const found = await kube.get(deployments, { namespace, name }, { signal }).catch((cause) => {
    if (!isNotFound(cause)) throw cause;
    throw new UserError(`Cannot find deployment "${name}" in namespace "${namespace}"`, {
      hints: [`To install it: ${install(name)}`],
      cause,
    });
  });
  const agent = agentIn(found);
  if (agent === undefined) {
    throw new UserError(`Cannot use deployment "${name}": none of its containers runs telepresence's agent`, {
      // By another name: this one is somebody's workload, which that would be written over.
      hints: [
        `To have a proxy: ${install(`${name.slice(0, 40)}-proxy`)}`,
        `To take its place: telepresence --swap-deployment ${name}`,
      ],
    });
  }
  const why = whyNoPodComes(found);
  if (why !== undefined) throw new UserError(`Cannot use deployment "${name}": it ${why}`);
  const { container, agentPort } = agent;
  return {
    container: container.name,
    podSelector: Object.entries(found.spec.selector.matchLabels).map(([label, value]) => `${label}=${value}`).join(","),
    agentPort,
    ports: container.ports.filter(({ protocol = "TCP" }) => protocol === "TCP").map(({ containerPort }) =>
      containerPort
    ),
    image: container.image ?? "",
    key: await readKey(name, install(name), options),
  };
}

/** The container that runs the agent, known by the words that start it. */
function agentIn({ spec }: Deployment): { container: Container; agentPort: number } | undefined {
  for (const container of spec.template.spec.containers) {
    const words = [container["command"], container["args"]].flatMap((each) =>
      Array.isArray(each) ? each.map(String) : []
    );
    const agentPort = Number(words[words.indexOf("--port") + 1]);
    const isAgent = words.some((word) => /(^|\/)agent\.js$/.test(word)) && words.some((word) => /^--key=/.test(word));
    if (isAgent && Number.isInteger(agentPort)) return { container, agentPort };
  }
  return undefined;
}

async function readKey(
  proxy: string,
  install: string,
  { kube, namespace, signal }: ExistingOptions,
): Promise<CryptoKey> {
  const name = nameOfKeySecret(proxy);
  try {
    const { data } = await kube.get(secrets, { namespace, name }, { signal });
    return await importPrivateKey(atob(data[KEY_FIELD] ?? ""));
  } catch (cause) {
    if (!isNotFound(cause) && !(cause instanceof SyntaxError) && !(cause instanceof DOMException)) throw cause;
    const what = isNotFound(cause) ? "is not there" : `has no key that can be read: ${messageOf(cause)}`;
    throw new UserError(`Cannot use deployment "${proxy}": secret "${name}", which lets us in, ${what}`, {
      hints: [`To install both anew: ${install}`],
      cause,
    });
  }
}
