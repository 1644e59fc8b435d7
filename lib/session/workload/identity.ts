import type { KubeClient } from "@/kube/mod.ts";
import { messageOf } from "@/util/mod.ts";
import type { Original } from "./original.ts";
import { podsOf } from "./pods_of.ts";
import type { Identity } from "./proxy_template.ts";

/** What finding out needs. */
export interface IdentityOptions {
  readonly kube: KubeClient;
  readonly namespace: string;
  /** Tells the user what had to be guessed. */
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

const GUESS: Identity = { user: 1000, group: 1000, supplementalGroups: [] };

interface Security {
  readonly runAsUser?: number;
  readonly runAsGroup?: number;
}

/**
 * As whom the original's container runs, so that its volumes can be read: what the template says, else what the kubelet
 * tells, else what the container says when it is asked, else a guess.
 */
export async function readIdentity(original: Original, options: IdentityOptions): Promise<Identity> {
  const told = identityInTemplate(original);
  if (told !== undefined) return told;
  const { kube, namespace, signal } = options;
  const running = (await podsOf(original, options)).find(({ status }) => status.phase === "Running");
  const status = running?.status.containerStatuses.find(({ name }) => name === original.container);
  const linux = status?.user?.linux;
  if (linux !== undefined) {
    return { user: linux.uid, group: linux.gid, supplementalGroups: linux.supplementalGroups };
  }
  const { user, group } = GUESS;
  const why = running === undefined ? "it has no running pod to ask" : await asked();
  if (typeof why !== "string") return why;
  options.say(
    `The proxy runs as user ${user}, as ${original.kind} ${original.name} does not say as whom it runs: ${why}`,
  );
  return { user, group, supplementalGroups: [] };

  async function asked(): Promise<Identity | string> {
    const name = running?.metadata.name ?? "";
    try {
      const where = { namespace, name };
      const ask = async (flag: string) => {
        const ended = await kube.exec(where, { command: ["id", flag], container: original.container, signal });
        return ended.stdout.trim();
      };
      const [user, group] = await Promise.all([ask("-u"), ask("-g")]);
      if (/^\d+$/.test(user) && /^\d+$/.test(group)) {
        return { user: Number(user), group: Number(group), supplementalGroups: [] };
      }
      return "its container does not know the program id";
    } catch (error) {
      signal.throwIfAborted();
      return messageOf(error);
    }
  }
}

/** What the template says; undefined when it leaves the user to the image. */
export function identityInTemplate({ template, container }: Original): Identity | undefined {
  const pod = template.spec["securityContext"] as Security | undefined;
  const own = template.spec.containers.find(({ name }) => name === container)?.["securityContext"] as
    | Security
    | undefined;
  const user = own?.runAsUser ?? pod?.runAsUser;
  if (user === undefined) return undefined;
  // Without a group the image's user database decides; in an image that does not know the user that is group 0.
  return { user, group: own?.runAsGroup ?? pod?.runAsGroup ?? 0, supplementalGroups: [] };
}
