/**
 * A Kubernetes cluster for tests: an API server on the loopback whose pods run the real agent in the test's own
 * process. No cluster, no root, nothing outside of the machine, and anything can go wrong in it on demand.
 *
 * ```ts ignore
 * await using cluster = await startFakeCluster({ trouble: TROUBLES.quota });
 * const config = await loadKubeconfig({ env: { KUBECONFIG: cluster.kubeconfigPath } });
 * // ... run a session, then:
 * assertEquals(await cluster.remaining(), []);
 * ```
 *
 * It speaks TLS with client certificates, HTTP/1.1 and WebSocket by code of its own, and knows of the API what a client
 * of ours could run into: discovery, create (dry run too), get, list in pages, watch, merge patch, delete with
 * preconditions and the garbage collection behind it, selectors, RBAC's refusals, pod logs, the legacy WebSocket
 * port-forward with all its peculiarities, and as much of exec as joins a port of the pod. `conformance_test.ts` runs the same assertions against it and against a real
 * cluster, where there is one: what the fake claims is what the real one does.
 *
 * ```sh
 * TELEPRESENCE_TEST_KUBECONFIG=PATH deno test --allow-all tests/testkit/conformance_test.ts
 * ```
 *
 * Three ways to make things go wrong: a {@linkcode Trouble} keeps its pods from running, in the words of a real cluster
 * ({@linkcode TROUBLES}); `cluster.faults` forbids, refuses, cuts, stalls or holds requests, by verb and resource; and
 * methods let things happen while a session runs (`evictPod`, `dropCarriers`, `goDown`, ...).
 *
 * What it is not: it admits any object, runs one replica, has one node, and resolves names as the machine does.
 *
 * @module
 */
export { type FakeCluster, type FakeClusterOptions, startFakeCluster } from "./fake_cluster.ts";
export { type Fault, type Faults, type Hold, type Match, tooManyRequests, unavailable } from "./faults.ts";
export { type KubeconfigFields, kubeconfigFor, TLS_FOLDER, tlsFile } from "./kubeconfig.ts";
export { at, type Json, type JsonObject, textAt } from "./json.ts";
export { type Proxy, type ProxyKind, startProxy } from "./proxies.ts";
export { Refusal } from "./refusal.ts";
export type { StoredObject } from "./store.ts";
export { type AgentAnswer, type Trouble, TROUBLES } from "./troubles.ts";
