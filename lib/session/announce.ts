import type { Prepared } from "./prepare.ts";

/** Tells what is about to be done, in the words of Telepresence 1 where it had some. */
export function announce(
  prepared: Prepared,
  method: string,
  say: (line: string) => void,
  chat: (line: string) => void,
): void {
  const { plan, originalFirst, keepers } = prepared;
  const { original, expose } = plan;
  chat(method);
  if (original === undefined) {
    say(`Starting network proxy to cluster using new Deployment ${plan.name}`);
  } else {
    const title = `${TITLES[original.kind]} ${original.name}`;
    say(`Starting network proxy to cluster by swapping out ${title} with a proxy`);
    if (originalFirst !== undefined) {
      say(`${title} goes before the proxy comes, so nothing serves for a moment: ${originalFirst}`);
    }
  }
  keepers.forEach(say);
  if (expose.length === 0) {
    chat(
      "No traffic is being forwarded from the remote Deployment to your local machine. You can use the --expose " +
        "option to specify which ports you want to forward.",
    );
  }
  for (const { host, pod } of expose) say(`Forwarding remote port ${pod} to local port ${host}.`);
  for (const port of plan.toPod) say(`Forwarding localhost:${port} to the pod`);
  for (const port of plan.fromPod) say(`Forwarding localhost:${port} from the pod`);
}

/** Kinds as the API writes them. */
const TITLES = {
  deployment: "Deployment",
  statefulset: "StatefulSet",
  replicaset: "ReplicaSet",
  daemonset: "DaemonSet",
  pod: "Pod",
} as const;
