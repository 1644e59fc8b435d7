/** What keeps a pod from running, or its agent from answering. */
export type Trouble =
  /** The replica set cannot make the pod: quota, admission. */
  | { readonly kind: "refused"; readonly message: string }
  | { readonly kind: "unschedulable"; readonly message: string }
  /** The container waits: `reasons` come one after the other. */
  | { readonly kind: "waiting"; readonly reasons: readonly string[]; readonly message: string }
  /** The container ends as soon as it has started, with these lines in its log. */
  | { readonly kind: "crash"; readonly exitCode: number; readonly reason: string; readonly log: readonly string[] }
  /** The container runs, and what answers on the agent's port is not our agent. */
  | { readonly kind: "agent"; readonly answers: AgentAnswer };

/**
 * `other-protocol`: an agent of a version that we cannot talk to. `stranger`: some other server. `silent`: it accepts
 * and says nothing. `none`: nobody listens.
 */
export type AgentAnswer = "other-protocol" | "stranger" | "silent" | "none";

/** Troubles in the words of a real cluster (1.34, containerd), as `%POD%` and `%IMAGE%` where those stand. */
export const TROUBLES = {
  image: {
    kind: "waiting",
    reasons: ["ErrImagePull", "ImagePullBackOff"],
    message: 'Back-off pulling image "%IMAGE%": ErrImagePull: failed to pull and unpack image "%IMAGE%": failed to ' +
      'resolve reference "%IMAGE%": failed to do request: Head "https://registry.invalid/v2/": dial tcp: lookup ' +
      "registry.invalid: no such host",
  },
  quota: {
    kind: "refused",
    message: 'pods "%POD%" is forbidden: exceeded quota: tight, requested: pods=1, used: pods=0, limited: pods=0',
  },
  admission: {
    kind: "refused",
    message: 'pods "%POD%" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false ' +
      '(container "telepresence" must set securityContext.allowPrivilegeEscalation=false)',
  },
  unschedulable: {
    kind: "unschedulable",
    message: "0/1 nodes are available: 1 Insufficient memory. no new claims to deallocate, preemption: 0/1 nodes are " +
      "available: 1 No preemption victims found for incoming pod.",
  },
  configuration: {
    kind: "waiting",
    reasons: ["CreateContainerConfigError"],
    message: 'configmap "nope" not found',
  },
  /** Nothing is wrong, it just takes for ever. */
  creating: { kind: "waiting", reasons: ["ContainerCreating"], message: "" },
  crash: {
    kind: "crash",
    exitCode: 1,
    reason: "Error",
    log: [
      "Telepresence agent",
      "\x1b[0m\x1b[1m\x1b[31merror\x1b[0m: Uncaught AddrInUse: Address already in use",
      "    at agent.js:1:1",
    ],
  },
} as const satisfies Readonly<Record<string, Trouble>>;
