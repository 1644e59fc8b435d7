/**
 * `telepresence agent-manifest`: a proxy to be installed once and used by many (`--deployment`), as objects that
 * somebody with the right to make them applies.
 *
 * The agent comes as everywhere, in a ConfigMap for the stock image of its runtime; or the image has it (`--image`): at
 * `/telepresence/agent.js`, with `deno` on its PATH, as the Dockerfile beside this source makes one. Its key is made
 * with the manifest. Objects that are applied anew have another, and the pod follows as its command names it.
 *
 * @module
 */
import { exportPrivateKey, makeSessionKey } from "@/transport/mod.ts";
import { dump } from "js-yaml";
import { agentCommand, agentPodSpec, type Manifest, portName } from "./manifest.ts";
import { NEW_CONTAINER } from "../plan/plan.ts";
import { FIRST_HIGH } from "../workload/low_ports.ts";
import { KEY_FIELD, nameOfKeySecret, PROXY_LABEL } from "../workload/existing.ts";

/** What is to be installed. */
export interface AgentManifestWanted {
  /** The Deployment's name, and that of its Service. */
  readonly name: string;
  /** Where it is to be; wherever it is applied when absent. */
  readonly namespace?: string;
  /** Ports that sessions may expose by the Service; a port of the pod that is not named here can be bound all the same. */
  readonly ports: readonly number[];
  readonly serviceAccount?: string;
  /** An image that has the agent in it; the stock image and a ConfigMap when absent. */
  readonly image?: string;
  readonly output: "yaml" | "json";
}

/** What the objects are made with. */
export interface AgentManifestOptions {
  readonly agentSource: string;
  /** The stock image of the agent's runtime. */
  readonly image: string;
  /** Writes the objects to the standard output. */
  print(text: string): void;
}

/** Where an installed agent waits on its pod's loopback. */
const AGENT_PORT = 20_022;

/** Prints the objects. @returns the exit code */
export async function showAgentManifest(wanted: AgentManifestWanted, options: AgentManifestOptions): Promise<number> {
  const objects = await agentObjects(wanted, options);
  if (wanted.output === "json") {
    options.print(`${JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }, undefined, 2)}\n`);
  } else {
    options.print(objects.map((object) => dump(object, { noRefs: true, lineWidth: -1 })).join("---\n"));
  }
  return 0;
}

/** The objects, in the order in which they are to be made. */
export async function agentObjects(
  wanted: AgentManifestWanted,
  { agentSource, image: stock }: Omit<AgentManifestOptions, "print">,
): Promise<readonly object[]> {
  const { name, ports, serviceAccount, image } = wanted;
  const { privateKey, publicKey } = await makeSessionKey();
  const [label = "", value] = PROXY_LABEL.split("=");
  const selector = { [label]: value, "app.kubernetes.io/instance": name };
  const configMapName = image === undefined ? `${name}-agent` : undefined;
  const spec = agentPodSpec({
    container: NEW_CONTAINER,
    image: image ?? stock,
    command: agentCommand({ agentPort: AGENT_PORT }, publicKey),
    ports,
    hasLowPorts: ports.some((port) => port < FIRST_HIGH),
    ...(serviceAccount !== undefined && { serviceAccount }),
    ...(configMapName !== undefined && { configMapName }),
  });
  const object = (apiVersion: string, kind: string, of: string, rest: Omit<Manifest, "metadata">) => ({
    apiVersion,
    kind,
    metadata: { name: of, ...(wanted.namespace !== undefined && { namespace: wanted.namespace }), labels: selector },
    ...rest,
  });
  return [
    object("v1", "Secret", nameOfKeySecret(name), { stringData: { [KEY_FIELD]: await exportPrivateKey(privateKey) } }),
    ...(configMapName === undefined
      ? []
      : [object("v1", "ConfigMap", configMapName, { data: { "agent.js": agentSource } })]),
    object("apps/v1", "Deployment", name, {
      spec: {
        replicas: 1,
        strategy: { type: "Recreate" },
        selector: { matchLabels: selector },
        template: { metadata: { labels: selector }, spec },
      },
    }),
    ...(ports.length === 0 ? [] : [object("v1", "Service", name, {
      spec: {
        type: "ClusterIP",
        selector,
        ports: ports.map((port) => ({ name: portName(port), port, targetPort: port, protocol: "TCP" })),
      },
    })]),
  ];
}
