import type { Prepared } from "./prepare.ts";
import type { Teller } from "../teller.ts";

/** Tells what is about to be done, in the words of Telepresence 1 where it had some. */
export function announce(
  prepared: Prepared,
  method: string,
  { say, note, chat }: Teller,
): void {
  const { plan, originalFirst, keepers } = prepared;
  const { original, expose } = plan;
  chat(method);
  if (plan.isThere) {
    note(`Starting network proxy to cluster using the existing proxy Deployment ${plan.name}`);
  } else if (original === undefined) {
    note(`Starting network proxy to cluster using new Deployment ${plan.name}`);
  } else {
    const title = `${TITLES[original.kind]} ${original.name}`;
    note(`Starting network proxy to cluster by swapping out ${title} with a proxy`);
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
  for (const { host, pod } of expose) note(`Forwarding remote port ${pod} to local port ${host}.`);
  for (const port of plan.toPod) note(`Forwarding localhost:${port} to the pod`);
  for (const port of plan.fromPod) note(`Forwarding localhost:${port} from the pod`);
}

/** Kinds as the API writes them. */
const TITLES = {
  deployment: "Deployment",
  statefulset: "StatefulSet",
  replicaset: "ReplicaSet",
  daemonset: "DaemonSet",
  pod: "Pod",
} as const;
