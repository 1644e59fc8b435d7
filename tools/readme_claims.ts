/**
 * What README.md claims, and the tests that prove it. `readme_claims_test.ts` wants a row for each of its paragraphs and
 * items, and each test where it is named.
 *
 * @module
 */

/** Words of the README, and the tests (file, and a part of the title) without which they would be words alone. */
export type Claim = readonly [words: string, ...tests: readonly (readonly [file: string, title: string])[]];

const INSTALL = ["tests/e2e/install_test.ts", "a new Debian gets the program as README.md"] as const;
const FIRST_RUN = ["tests/e2e/first_run_test.ts", "telepresence --run curl http://helloworld.default answers"] as const;
const KILLED = ["tests/e2e/swap_test.ts", "kill -9 of the session: its guardian gives everything back"] as const;
const WATCH = ["tests/e2e/watch_test.ts", "status --watch shows connections as they are"] as const;
const LOW_PORT = ["tests/e2e/expose_test.ts", "--expose 8080:80 --new-deployment example2: port 80"] as const;
const PAGES = ["lib/cli/topics_test.ts", "each page of docs/ is a topic"] as const;

/** In the order of the README. */
export const CLAIMS: readonly Claim[] = [
  ["afterwards the cluster is exactly as it was", FIRST_RUN, [
    "tests/e2e/swap_faults_test.ts",
    "everything is as before",
  ]],
  ["the same flags, the same words", ["lib/cli/parse_test.ts", "recognizes each flag of Telepresence 1"]],
  ["needs no kubectl, no ssh, no daemon", INSTALL],
  ["no privileged pod", ["lib/session/proxy/manifest_test.ts", "what the Pod Security Standard restricted allows"]],
  ["sends no telemetry", [
    "tests/delivery/delivery_test.ts",
    "asks for a newer version when it is told to, and at no other time",
  ]],
  ["with your kubeconfig", ["tests/e2e/kube_test.ts", "are to the server who they are to kubectl"]],
  ["One file for Linux, no root, nothing but glibc", INSTALL, [
    "tests/onefile/onefile_test.ts",
    "one file becomes its runtime",
  ]],
  ["On Debian 12 as root with Go", ["tests/cluster/cluster_test.ts", "The embedded cluster"]],
  ["`telepresence doctor` says whether", [
    "lib/session/doctor/doctor_test.ts",
    "every line that there is has been red",
  ]],
  ["**Reach everything that a pod reaches**", [
    "tests/e2e/first_run_test.ts",
    "a Service has three DNS names, and all three answer",
  ]],
  ["those made later too", ["tests/e2e/first_run_test.ts", "a Service made after the start is reached"]],
  ["**Be reached** by pods", [
    "tests/e2e/expose_test.ts",
    "the cluster reaches the local server by the Deployment's name",
  ], LOW_PORT],
  ["**Take the place of a workload**", [
    "tests/e2e/swap_test.ts",
    "serves the Service from the host, and gives everything back",
  ]],
  ["however the session ends", ["tests/e2e/swap_faults_test.ts", "whatever ends a session while its command runs"]],
  ["**Use a proxy that is there**", ["tests/e2e/existing_test.ts", "--deployment uses a proxy that is there"]],
  ["**Work in a shell**", ["tests/session/terminal_test.ts", "--run-shell on a terminal has job control"]],
  ["**Have the pod's environment and volumes**", ["tests/e2e/volumes_test.ts", "volumes of each kind are there"], [
    "tests/e2e/env_test.ts",
    "values of each kind arrive",
  ]],
  ["client libraries find their in-cluster configuration", [
    "tests/e2e/clients_test.ts",
    "works with its in-cluster configuration",
  ]],
  ["**Run any program**", [
    "tests/netns/namespace_test.ts",
    "programs of every making are carried: static, Go, musl, Java",
  ], ["tests/netns/namespace_test.ts", "datagrams to the cluster go through the pod"]],
  ["**Carry the whole machine**", [
    "tests/e2e/vpn_test.ts",
    "every program of the machine reaches the cluster by each name",
  ], ["tests/e2e/vpn_test.ts", "without root, sudo is asked"]],
  ["**See it at work**", WATCH],
  ["**Know beforehand**", [
    "tests/e2e/swap_kinds_test.ts",
    "--plan shows objects, changes and rights, and changes nothing",
  ]],
  ["is opened again, and the command's connections go on, each byte once", [
    "tests/e2e/tunnel_test.ts",
    "no byte is lost or doubled",
  ]],
  ["the session goes on with the next one", [
    "tests/e2e/replaced_pod_test.ts",
    "a swapped workload's proxy whose pod is lost is followed",
  ]],
  ["Pod Security Standard _restricted_", ["tests/e2e/first_run_test.ts", "the Pod Security Standard restricted"]],
  ["[rights](docs/rbac.md) of one namespace", ["tests/e2e/rbac_test.ts", "the Role of docs/rbac.md is enough"]],
  ["More by question", PAGES, [
    "tests/shells/completion_test.ts",
    "completes flags, subcommands, and what is in the cluster",
  ]],
  ["each refused with a sentence that says what works", [
    "lib/cli/parse_test.ts",
    "is not built yet, and says what works instead",
  ], ["tests/session/start_refused_test.ts", "on a Mac a command is refused"]],
  ["`TELEPRESENCE_REGISTRY` names a mirror", [
    "tests/session/good_run_test.ts",
    "names where the agent's image comes from",
  ]],
  ["the agent, 100 kB of JavaScript", ["tools/readme_claims_test.ts", "the agent is as large as the README says"]],
  ["Over two to four port-forwards", [
    "lib/transport/keep_carriers_test.ts",
    "much that is carried far gets all carriers, near it keeps to two",
  ]],
  ["proves with a signature", ["lib/transport/handshake_test.ts", "by a carrier that was signed for it"]],
  ["a guardian process undoes it after `kill -9`", KILLED, [
    "tests/e2e/swap_test.ts",
    "kill -9 of the session and its guardian",
  ]],
  ["**Exit status**", ["tests/e2e/first_run_test.ts", "the exit code is the command's own"], [
    "tests/session/program_test.ts",
    "real signals: 130, 143 and 129",
  ]],
  ["**Output**", [
    "tests/session/program_test.ts",
    "standard output, standard error and exit code are the command's own",
  ], ["tests/session/progress_test.ts", "--quiet says nothing when nothing goes wrong"]],
  ["**Left behind**", FIRST_RUN, ["lib/cli/logfile_test.ts", "openLogfile()"]],
  ["**Nothing goes around the cluster in silence**", [
    "tests/shim/carriable_test.ts",
    "says before the start what the shim cannot be preloaded into",
  ]],
  ["**The API server is never proxied**", ["tests/e2e/inject_test.ts", "--never-proxy leaves a name on this machine"], [
    "tests/e2e/namespace_test.ts",
    "localhost of the host is reached from inside, and the API server too",
  ]],
];
