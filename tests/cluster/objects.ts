import { requireProgram } from "@/process/mod.ts";
import { readIfThere, replaceFile } from "./files.ts";
import { FIXTURE_IMAGES } from "./fixture_images.ts";
import type { Instance } from "./instance.ts";
import { kubeconfigOf } from "./pki.ts";
import { hashOf } from "./program.ts";

/** The Deployments that a cluster is not up without. */
export const DEPLOYMENTS = [
  { namespace: "kube-system", name: "coredns" },
  { namespace: "default", name: "helloworld" },
  { namespace: "default", name: "tools" },
] as const;

/** Runs `kubectl` as cluster-admin and returns what it prints. */
export async function kubectl(
  instance: Instance,
  args: readonly string[],
  options: { input?: string } = {},
): Promise<string> {
  return await requireProgram([...kubectlCommand(instance), ...args], {
    ...options,
    env: { NO_PROXY: instance.nodeAddress, KUBECTL_KUBERC: "false" },
  });
}

/** Words that begin a `kubectl` command for this cluster. */
export function kubectlCommand(instance: Instance): [string, ...string[]] {
  return [
    ...[`${instance.state}/bin/cluster`, "kubectl", "--kubeconfig", kubeconfigOf(instance, "admin")] as const,
    ...["--cache-dir", `${instance.state}/kubectl`],
  ];
}

/** Gives the cluster the objects of `objects.yaml`, unless it has been given these already. */
export async function applyObjects(instance: Instance): Promise<void> {
  const template = await Deno.readTextFile(new URL("objects.yaml", import.meta.url));
  const { helloworld, tools } = FIXTURE_IMAGES.local;
  const { state, dnsService } = instance;
  const values: Record<string, string> = { program: `${state}/bin`, dnsService, helloworld, tools };
  const input = template.replaceAll(/\$\{(\w+)\}/g, (word, name: string) => values[name] ?? word);
  const hash = await hashOf(input);
  const mark = `${instance.state}/objects`;
  if (await readIfThere(mark) === hash) return;
  await kubectl(instance, ["apply", "--server-side", "--force-conflicts", "--filename=-"], { input });
  await replaceFile(mark, hash);
}
