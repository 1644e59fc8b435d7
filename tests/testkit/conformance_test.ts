/**
 * What the fake cluster claims about Kubernetes, asserted of it and, where TELEPRESENCE_TEST_KUBECONFIG names a real
 * cluster, of that one by the same lines. The real one must have the agent's image (`version.ts`) and let us do
 * everything; what is made there is in namespaces of its own, which go.
 *
 * @module
 */
import {
  deepStrictEqual as equals,
  match,
  notStrictEqual as differs,
  ok,
  strictEqual as equal,
} from "node:assert/strict";
import { type ClusterConfig, loadKubeconfig } from "@/kube/mod.ts";
import { sleep } from "@/util/mod.ts";
import { AGENT_IMAGE } from "../../version.ts";
import { openRawClient, type RawClient, type RawSocket } from "./_raw_client.ts";
import { startFakeCluster } from "./fake_cluster.ts";
import { at, type Json, textAt } from "./json.ts";
import { type Trouble, TROUBLES } from "./troubles.ts";

/** A cluster under test. */
interface Target extends AsyncDisposable {
  readonly client: RawClient;
  /** A namespace for these tests alone. */
  readonly namespace: string;
  /** Asks as a user who may do nothing, and says what the server calls that user. */
  forbidden(path: string, method?: string): Promise<{ user: string; status: number; body: Json }>;
  /** A namespace in which pods have this trouble, and what belongs into a pod for it. */
  troubled(trouble: Trouble): Promise<AsyncDisposable & { client: RawClient; namespace: string; podSpec: object }>;
}

const KUBECONFIG = Deno.env.get("TELEPRESENCE_TEST_KUBECONFIG");
const AGENT_PORT = 23456;

Deno.test("the fake cluster answers as a cluster does", async (t) => {
  await using target = await fakeTarget();
  await conforms(t, target);
});

Deno.test({
  name: "a real cluster answers as the fake one does (where TELEPRESENCE_TEST_KUBECONFIG names one)",
  ignore: KUBECONFIG === undefined,
  async fn(t) {
    await using target = await realTarget(KUBECONFIG ?? "");
    await conforms(t, target);
  },
});

async function conforms(t: Deno.TestContext, target: Target): Promise<void> {
  const { client, namespace } = target;
  const maps = `/api/v1/namespaces/${namespace}/configmaps`;
  const create = (metadata: object, more: object = {}) =>
    client.ask(maps, { method: "POST", body: { apiVersion: "v1", kind: "ConfigMap", metadata, ...more } });

  await t.step("discovery: version, groups, resources with their verbs", async () => {
    match(textAt((await client.ask("/version")).body as Json, "gitVersion"), /^v1\.\d+\./);
    const groups = at((await client.ask("/apis")).body as Json, "groups");
    ok(
      Array.isArray(groups) && groups.some((group) => textAt(group, "preferredVersion", "groupVersion") === "apps/v1"),
    );
    const resources = at((await client.ask("/apis/apps/v1")).body as Json, "resources");
    const deployments = Array.isArray(resources) && resources.find((each) => textAt(each, "name") === "deployments");
    ok(deployments);
    equals([textAt(deployments, "kind"), at(deployments, "namespaced")], ["Deployment", true]);
    const verbs = at(deployments, "verbs");
    ok(
      Array.isArray(verbs) &&
        ["create", "delete", "get", "list", "patch", "watch"].every((verb) => verbs.includes(verb)),
    );
  });

  await t.step("what is not served: a Status for a resource, a line of text for a group", async () => {
    const { status, body } = await client.ask("/apis/apps/v1/nopes");
    equals([status, body["reason"], body["message"]], [
      404,
      "NotFound",
      "the server could not find the requested resource",
    ]);
    equals((await client.ask("/apis/nope.example.com/v1/x")).text, "404 page not found\n");
  });

  await t.step("create gives identity, version and time", async () => {
    const { status, body } = await create({ name: "one", labels: { a: "b" } }, { data: { x: "1" } });
    equals([status, body["kind"], body["apiVersion"]], [201, "ConfigMap", "v1"]);
    match(textAt(body as Json, "metadata", "uid"), /^[0-9a-f-]{36}$/);
    match(textAt(body as Json, "metadata", "resourceVersion"), /^\d+$/);
    match(textAt(body as Json, "metadata", "creationTimestamp"), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    equal(textAt(body as Json, "metadata", "namespace"), namespace);
  });

  await t.step("create of a name that is taken: 409 AlreadyExists", async () => {
    const { status, body } = await create({ name: "one" });
    equals({ status, ...statusOf(body) }, {
      status: 409,
      reason: "AlreadyExists",
      message: 'configmaps "one" already exists',
      details: { name: "one", kind: "configmaps" },
    });
  });

  await t.step("create with dryRun=All: answered, checked, not stored", async () => {
    const body = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "dry" } };
    const tried = await client.ask(`${maps}?dryRun=All`, { method: "POST", body });
    equal(tried.status, 201);
    equal(textAt(tried.body as Json, "metadata", "resourceVersion"), "");
    equal((await client.ask(`${maps}/dry`)).status, 404);
    const taken = { ...body, metadata: { name: "one" } };
    equal((await client.ask(`${maps}?dryRun=All`, { method: "POST", body: taken })).status, 409);
  });

  await t.step("create with generateName", async () => {
    const { body } = await create({ generateName: "gen-" });
    match(textAt(body as Json, "metadata", "name"), /^gen-[a-z0-9]{5}$/);
    await client.ask(`${maps}/${textAt(body as Json, "metadata", "name")}`, { method: "DELETE" });
  });

  await t.step("create in a namespace that is not there: 404 for the namespace", async () => {
    const { status, body } = await client.ask("/api/v1/namespaces/no-such/configmaps", {
      method: "POST",
      body: { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "x" } },
    });
    equals({ status, ...statusOf(body) }, {
      status: 404,
      reason: "NotFound",
      message: 'namespaces "no-such" not found',
      details: { name: "no-such", kind: "namespaces" },
    });
  });

  await t.step("create of what is wrong: 422 with every cause, 400 for another kind", async () => {
    const bad = await create({ name: "X_y" });
    equal(bad.status, 422);
    match(
      String(bad.body["message"]),
      /^ConfigMap "X_y" is invalid: metadata\.name: Invalid value: "X_y": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '\.', and must start and end with an alphanumeric character \(e\.g\. 'example\.com', regex used for validation is /,
    );
    const nameless = await create({});
    equals({ status: nameless.status, ...statusOf(nameless.body) }, {
      status: 422,
      reason: "Invalid",
      message: 'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required',
      details: {
        kind: "ConfigMap",
        causes: [{
          reason: "FieldValueRequired",
          message: "Required value: name or generateName is required",
          field: "metadata.name",
        }],
      },
    });
    const service = await client.ask(`/api/v1/namespaces/${namespace}/services`, {
      method: "POST",
      body: { apiVersion: "v1", kind: "Service", metadata: { name: "9x" }, spec: { ports: [{ port: 80 }] } },
    });
    equal(service.status, 422);
    match(
      String(service.body["message"]),
      /^Service "9x" is invalid: metadata\.name: Invalid value: "9x": a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character /,
    );
    const template = { metadata: { labels: { a: "c" } }, spec: { containers: [] } };
    const deployment = await client.ask(`/apis/apps/v1/namespaces/${namespace}/deployments`, {
      method: "POST",
      body: {
        apiVersion: "apps/v1",
        kind: "Deployment",
        metadata: { name: "x" },
        spec: { selector: { matchLabels: { a: "b" } }, template },
      },
    });
    equals([deployment.status, deployment.body["message"]], [
      422,
      'Deployment.apps "x" is invalid: [spec.template.metadata.labels: Invalid value: {"a":"c"}: `selector` does not ' +
      "match template `labels`, spec.template.spec.containers: Required value]",
    ]);
    const other = await client.ask(maps, { method: "POST", body: { apiVersion: "v1", kind: "Secret", metadata: {} } });
    equals([other.status, other.body["message"]], [
      400,
      'Secret in version "v1" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): unknown ' +
      "conversion",
    ]);
  });

  await t.step("get, and what is not there", async () => {
    const { body } = await client.ask(`${maps}/one`);
    equals(body["data"], { x: "1" });
    const missing = await client.ask(`/apis/apps/v1/namespaces/${namespace}/deployments/no-such`);
    equals({ status: missing.status, ...statusOf(missing.body) }, {
      status: 404,
      reason: "NotFound",
      message: 'deployments.apps "no-such" not found',
      details: { name: "no-such", group: "apps", kind: "deployments" },
    });
  });

  await t.step("list in pages, whose items do not say what they are", async () => {
    await create({ name: "two", labels: { a: "c", tier: "db" } });
    await create({ name: "three", labels: { tier: "web" } });
    const names: string[] = [];
    let token = "";
    do {
      const { body } = await client.ask(`${maps}?limit=2&continue=${token}`);
      equal(body["kind"], "ConfigMapList");
      const items = body["items"] as { kind?: string; metadata: { name: string } }[];
      ok(items.length <= 2 && items.every(({ kind }) => kind === undefined));
      names.push(...items.map(({ metadata: { name } }) => name));
      token = textAt(body as Json, "metadata", "continue");
      if (token !== "") equal(typeof at(body as Json, "metadata", "remainingItemCount"), "number");
    } while (token !== "");
    equals(names, ["kube-root-ca.crt", "one", "three", "two"].filter((name) => names.includes(name)));
    ok(names.length >= 3);
    equals((await client.ask("/api/v1/namespaces/no-such/configmaps")).body["items"], []);
    const wrong = await client.ask(`${maps}?continue=abc`);
    equal(wrong.status, 400);
    match(String(wrong.body["message"]), /^invalid continue token: continue key is not valid/);
  });

  await t.step("selectors", async () => {
    const cases = [
      ["labelSelector", "a=b", ["one"]],
      ["labelSelector", "a==c", ["two"]],
      ["labelSelector", "a!=b,tier", ["three", "two"]],
      ["labelSelector", "tier in (db, cache)", ["two"]],
      ["labelSelector", "tier notin (db),tier", ["three"]],
      ["labelSelector", "!a,tier", ["three"]],
      ["fieldSelector", "metadata.name=two", ["two"]],
      ["fieldSelector", "metadata.name=two,metadata.name!=two", []],
    ] as const;
    for (const [kind, selector, names] of cases) {
      const { body } = await client.ask(`${maps}?${kind}=${encodeURIComponent(selector)}`);
      const found = (body["items"] as { metadata: { name: string } }[]).map(({ metadata: { name } }) => name);
      equals(found, names, selector);
    }
    const field = await client.ask(`${maps}?fieldSelector=data.x%3D1`);
    equals([field.status, field.body["message"]], [
      400,
      '"data.x" is not a known field selector: only "metadata.name", "metadata.namespace"',
    ]);
    const label = await client.ask(`${maps}?labelSelector=a%3D%3D%3D`);
    equals([label.status, label.body["message"]], [
      400,
      "unable to parse requirement: found '=', expected: identifier",
    ]);
  });

  await t.step("merge patch: null takes a field away; without a difference the version stays", async () => {
    const patch = (body: object) =>
      client.ask(`${maps}/one`, { method: "PATCH", body, contentType: "application/merge-patch+json" });
    const first = await patch({ metadata: { labels: { a: null, c: "d" } }, data: { x: null, y: "2" } });
    equals([first.status, first.body["data"], at(first.body as Json, "metadata", "labels")], [
      200,
      { y: "2" },
      { c: "d" },
    ]);
    const again = await patch({ data: { y: "2" } });
    equal(
      textAt(again.body as Json, "metadata", "resourceVersion"),
      textAt(first.body as Json, "metadata", "resourceVersion"),
    );
    const stale = await patch({ metadata: { resourceVersion: "1" }, data: { z: "1" } });
    equals([stale.status, stale.body["reason"]], [409, "Conflict"]);
    match(
      String(stale.body["message"]),
      /^Operation cannot be fulfilled on configmaps "one": the object has been modified; /,
    );
  });

  await t.step("watch: what is there, a bookmark, then each change as the selection sees it", async () => {
    const path = `${maps}?watch=true&allowWatchBookmarks=true&labelSelector=watched`;
    await create({ name: "w1", labels: { watched: "yes" } });
    const label = (watched: string | null) =>
      client.ask(`${maps}/w2`, {
        method: "PATCH",
        contentType: "application/merge-patch+json",
        body: { metadata: { labels: { watched } } },
      });
    const events = await client.watch(path, 7, async () => {
      await create({ name: "w2", labels: { watched: "yes" } });
      await label("still");
      await label(null);
      await label("again");
      await client.ask(`${maps}/w2`, { method: "DELETE" });
    });
    const told = events.map(({ type, object: { metadata } }) => [type, metadata.name, metadata.labels?.["watched"]]);
    equals(told, [
      ["ADDED", "w1", "yes"],
      ["BOOKMARK", undefined, undefined],
      ["ADDED", "w2", "yes"],
      ["MODIFIED", "w2", "still"],
      ["DELETED", "w2", "still"], // as it was when it was last selected
      ["ADDED", "w2", "again"],
      ["DELETED", "w2", "again"],
    ]);
    equals(events[1]?.object.metadata.annotations, { "k8s.io/initial-events-end": "true" });
    const versions = events.slice(2).map(({ object }) => Number(object.metadata.resourceVersion));
    equals(versions, [...new Set(versions)].sort((a, b) => a - b), "each event has a later version");

    const from = events[2]?.object.metadata.resourceVersion;
    const later = await client.watch(`${maps}?watch=true&labelSelector=watched&resourceVersion=${from}`, 4);
    equals(later.map(({ type }) => type), ["MODIFIED", "DELETED", "ADDED", "DELETED"]);
  });

  await t.step("a watch ends in order when its time is over", async () => {
    const events = await client.watch(`${maps}?watch=true&resourceVersion=0&timeoutSeconds=1`, Infinity);
    ok(events.every(({ type }) => type === "ADDED"));
  });

  await t.step("replace: only over the version that was read", async () => {
    const { body } = await client.ask(`${maps}/one`);
    const replace = (resourceVersion: string) => {
      const metadata = { ...body["metadata"] as object, resourceVersion };
      return client.ask(`${maps}/one`, { method: "PUT", body: { ...body, metadata, data: { r: "1" } } });
    };
    const done = await replace(textAt(body as Json, "metadata", "resourceVersion"));
    equals([done.status, done.body["data"]], [200, { r: "1" }]);
    const stale = await replace(textAt(body as Json, "metadata", "resourceVersion"));
    equals([stale.status, stale.body["reason"]], [409, "Conflict"]);
  });

  await t.step("delete with dryRun=All deletes nothing", async () => {
    equal((await client.ask(`${maps}/one?dryRun=All`, { method: "DELETE" })).body["status"], "Success");
    equal((await client.ask(`${maps}/one`)).status, 200);
  });

  await t.step("delete: preconditions, the two sorts of answers, and what is not there", async () => {
    const { body: { metadata } } = await client.ask(`${maps}/two`);
    const { uid } = metadata as { uid: string };
    const refused = await client.ask(`${maps}/two`, { method: "DELETE", body: { preconditions: { uid: "abc" } } });
    equals({ status: refused.status, ...statusOf(refused.body) }, {
      status: 409,
      reason: "Conflict",
      message:
        `Operation cannot be fulfilled on ConfigMap "two": the UID in the precondition (abc) does not match the ` +
        `UID in record (${uid}). The object might have been deleted and then recreated`,
      details: { name: "two", kind: "ConfigMap" },
    });
    const done = await client.ask(`${maps}/two`, { method: "DELETE", body: { preconditions: { uid } } });
    equals([done.status, done.body["status"], done.body["details"]], [
      200,
      "Success",
      { name: "two", kind: "configmaps", uid },
    ]);
    equal((await client.ask(`${maps}/two`, { method: "DELETE" })).status, 404);

    const services = `/api/v1/namespaces/${namespace}/services`;
    const spec = { ports: [{ port: 80 }], selector: { a: "b" } };
    const made = await client.ask(services, {
      method: "POST",
      body: { apiVersion: "v1", kind: "Service", metadata: { name: "web" }, spec },
    });
    equal(textAt(made.body as Json, "spec", "type"), "ClusterIP");
    match(textAt(made.body as Json, "spec", "clusterIP"), /^\d+\.\d+\.\d+\.\d+$/);
    equal((await client.ask(`${services}/web`, { method: "DELETE" })).body["kind"], "Service");
  });

  await t.step("who may not: 403 in RBAC's words; who is unknown: 401", async () => {
    const get = await target.forbidden(`${maps}/one`);
    equals([get.status, textAt(get.body, "reason"), textAt(get.body, "message")], [
      403,
      "Forbidden",
      `configmaps "one" is forbidden: User "${get.user}" cannot get resource "configmaps" in API group "" in the namespace ` +
      `"${namespace}"`,
    ]);
    const list = await target.forbidden(`/apis/apps/v1/namespaces/${namespace}/deployments`);
    equal(
      textAt(list.body, "message"),
      `deployments.apps is forbidden: User "${list.user}" cannot list resource "deployments" in API group "apps" in the ` +
        `namespace "${namespace}"`,
    );
    const forward = await target.forbidden(`/api/v1/namespaces/${namespace}/pods/x/portforward?ports=1`);
    equal(
      textAt(forward.body, "message"),
      `pods "x" is forbidden: User "${forward.user}" cannot get resource "pods/portforward" in API group "" in the namespace ` +
        `"${namespace}"`,
    );
    const gone = await target.forbidden(`${maps}/no-such`, "DELETE");
    equal(gone.status, 403, "rights are looked at before existence");
    const unknown = await client.ask(`${maps}/one`, { as: "unknown" });
    equals({ status: unknown.status, ...statusOf(unknown.body) }, {
      status: 401,
      reason: "Unauthorized",
      message: "Unauthorized",
      details: undefined,
    });
  });

  await t.step("a Deployment's pod: replica set, owners, states; its log", async (t) => {
    await deploy(client, namespace, "agent", {});
    const pod = await podOf(client, namespace, "agent", (pod) => state(pod, "running") !== undefined);
    const name = textAt(pod, "metadata", "name");
    match(name, /^agent-[a-z0-9]+-[a-z0-9]{5}$/);
    const [replicaSet = ""] = [textAt(owner(pod), "name")];
    equals([textAt(owner(pod), "kind"), at(owner(pod), "controller")], ["ReplicaSet", true]);
    const set = (await client.ask(`/apis/apps/v1/namespaces/${namespace}/replicasets/${replicaSet}`)).body as Json;
    equals([textAt(owner(set), "kind"), textAt(owner(set), "name")], ["Deployment", "agent"]);
    equal(replicaSet, `agent-${textAt(pod, "metadata", "labels", "pod-template-hash")}`);
    equal(textAt(pod, "status", "phase"), "Running");
    differs(textAt(pod, "spec", "nodeName"), "");

    await t.step("log", async () => {
      const log = `/api/v1/namespaces/${namespace}/pods/${name}/log`;
      const whole = await until("the agent says that it waits", async () => {
        const { text } = await client.ask(`${log}?container=telepresence`);
        return /Waiting for the host/.test(text) ? text : undefined;
      });
      equal(
        (await client.ask(`${log}?container=telepresence&tailLines=1`)).text.trimEnd(),
        whole.trimEnd().split("\n").at(-1),
      );
      const other = await client.ask(`${log}?container=nope`);
      equals([other.status, other.body["message"]], [400, `container nope is not valid for pod ${name}`]);
      const before = await client.ask(`${log}?container=telepresence&previous=true`);
      equals([before.status, before.body["message"]], [
        400,
        `previous terminated container "telepresence" in pod "${name}" not found`,
      ]);
    });
    await portForwards(t, client, `/api/v1/namespaces/${namespace}/pods/${name}/portforward`);
    await commands(t, client, `/api/v1/namespaces/${namespace}/pods/${name}/exec`);
  });

  await t.step("what a Deployment owns goes with it", async () => {
    const { body: { metadata } } = await client.ask(`/apis/apps/v1/namespaces/${namespace}/deployments/agent`);
    const { uid } = metadata as { uid: string };
    const ownerReferences = [{ apiVersion: "apps/v1", kind: "Deployment", name: "agent", uid }];
    await create({ name: "owned", ownerReferences });
    const { body } = await client.ask(`/apis/apps/v1/namespaces/${namespace}/deployments/agent`, {
      method: "DELETE",
      body: { propagationPolicy: "Background" },
    });
    equals([body["status"], body["details"]], ["Success", { name: "agent", group: "apps", kind: "deployments", uid }]);
    await until("everything that it owned is gone", async () => {
      const paths = [`${maps}/owned`, `/apis/apps/v1/namespaces/${namespace}/replicasets`];
      const [owned, sets] = await Promise.all(paths.map((path) => client.ask(path)));
      const pods = await client.ask(`/api/v1/namespaces/${namespace}/pods?labelSelector=app%3Dagent`);
      const left = [...items(sets?.body), ...items(pods.body)];
      return owned?.status === 404 && left.length === 0 ? true : undefined;
    });
  });

  await t.step("a quota without room, and an admission that refuses, stand at the Deployment", async () => {
    for (const trouble of [TROUBLES.quota, TROUBLES.admission]) {
      await using place = await target.troubled(trouble);
      await deploy(place.client, place.namespace, "stuck", place.podSpec);
      const message = await until("the Deployment has a ReplicaFailure", async () => {
        const path = `/apis/apps/v1/namespaces/${place.namespace}/deployments/stuck`;
        const conditions = at((await place.client.ask(path)).body as Json, "status", "conditions");
        const failure = Array.isArray(conditions) &&
          conditions.find((each) => textAt(each, "type") === "ReplicaFailure");
        return failure ? textAt(failure, "message") : undefined;
      });
      const name = /stuck-[a-z0-9]+-[a-z0-9]+/.exec(message)?.[0] ?? "";
      const start = trouble.message.replace("%POD%", name).split(" (container")[0] ?? "";
      ok(message.startsWith(start), `${message}\nis not as\n${start}`);
    }
  });

  await t.step("a pod for which no node is right has a condition, no node and no port-forward", async () => {
    await using place = await target.troubled(TROUBLES.unschedulable);
    await deploy(place.client, place.namespace, "stuck", place.podSpec);
    const isUnschedulable = (condition: Json) => textAt(condition, "reason") === "Unschedulable";
    const pod = await podOf(place.client, place.namespace, "stuck", (pod) => conditions(pod).some(isUnschedulable));
    const scheduled = conditions(pod).find(isUnschedulable);
    equals([textAt(scheduled, "type"), textAt(scheduled, "status")], ["PodScheduled", "False"]);
    match(textAt(scheduled, "message"), /^0\/\d+ nodes are available: /);
    const name = textAt(pod, "metadata", "name");
    const path = `/api/v1/namespaces/${place.namespace}/pods/${name}/portforward?ports=${AGENT_PORT}`;
    const { status, body } = await place.client.ask(path, { headers: { Connection: "Upgrade", Upgrade: "websocket" } });
    equals([status, body["message"]], [400, `pod ${name} does not have a host assigned`]);
  });
}

async function portForwards(t: Deno.TestContext, client: RawClient, path: string): Promise<void> {
  const open = (port: number | string = AGENT_PORT, protocols: string | undefined = "v4.channel.k8s.io") =>
    client.upgrade(`${path}?ports=${port}`, protocols);
  const portFrames = async (socket: RawSocket, port = AGENT_PORT) => {
    equals([await payload(socket), await payload(socket)], [[0, port & 0xff, port >> 8], [1, port & 0xff, port >> 8]]);
  };

  await t.step("port-forward: the port on both channels, then what the pod says", async () => {
    using socket = await open();
    equal(socket.status, 101);
    match(socket.head, /^Sec-WebSocket-Protocol: v4\.channel\.k8s\.io\r$/m);
    match(socket.head, /^Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r$/m);
    await portFrames(socket);
    const hello = await payload(socket);
    equal(hello[0], 0);
    match(new TextDecoder().decode(new Uint8Array(hello.slice(3))), /^\{"telepresence":/);
  });

  await t.step("port-forward to a port where nobody listens: opened all the same, then the node's words", async () => {
    using socket = await open(AGENT_PORT + 1);
    equal(socket.status, 101);
    await portFrames(socket, AGENT_PORT + 1);
    const [channel, ...text] = await payload(socket);
    equal(channel, 1);
    match(
      new TextDecoder().decode(new Uint8Array(text)),
      /^error forwarding port 23457 to pod \w+, uid : .*failed to connect to localhost:23457 inside namespace .*connection refused/,
    );
    await closes(socket, [1000]);
  });

  await t.step("port-forward: several ports have two channels each, and a connection each", async () => {
    using socket = await open(`${AGENT_PORT},${AGENT_PORT}`);
    const channels: number[] = [];
    while (channels.length < 6) channels.push((await payload(socket))[0] ?? -1);
    // The hello of the first may come before the port frames of the second.
    equals(channels.toSorted(), [0, 0, 1, 2, 2, 3]);
  });

  await t.step("port-forward: who ends, ends both directions within a second or so", async () => {
    using socket = await open();
    await portFrames(socket);
    await payload(socket);
    await socket.send(2, [0, 0, 2, ...new TextEncoder().encode("{}")]); // no proof: the agent hangs up
    await closes(socket, [1000]);
    using other = await open();
    await portFrames(other);
    await payload(other);
    await other.send(8, [0x03, 0xe8]);
    await closes(other, [1000]);
  });

  await t.step("port-forward: the second frame of a message is taken for one of its own", async () => {
    using socket = await open();
    await portFrames(socket);
    await payload(socket);
    await socket.send(2, [0, 0, 2], { final: false });
    await socket.send(0, [...new TextEncoder().encode("{}")]); // channel 0x7b: nobody listens
    await socket.send(9, [65, 66]);
    const pong = await socket.read();
    equals([pong?.opcode, [...pong?.payload ?? []]], [10, [65, 66]], "so the agent still waits");
    await socket.send(2, [0, ...new TextEncoder().encode("{}")]);
    await closes(socket, [1000]);
  });

  await t.step("port-forward: a frame without a mask ends it", async () => {
    using socket = await open();
    await portFrames(socket);
    await payload(socket);
    await socket.send(2, [0, 65], { masked: false });
    await closes(socket, [1002, 1000]);
  });

  await t.step("port-forward: a message of more than 32 MiB ends it", async () => {
    using socket = await open();
    await portFrames(socket);
    await payload(socket);
    const head = new Uint8Array(15);
    head.set([0x82, 0xff, 0, 0, 0, 0, 0x02, 0, 0, 1]); // 32 MiB and one byte, masked with zeros, on channel 0
    await socket.sendRaw(head);
    await closes(socket, [1000]);
  });

  await t.step("port-forward: which subprotocols there are", async () => {
    using none = await open(AGENT_PORT, "");
    equal(none.status, 101);
    match(none.head, /^Sec-WebSocket-Protocol: ?\r$/m);
    using first = await open(AGENT_PORT, "nope.example, v4.channel.k8s.io");
    equal(first.status, 101);
    match(first.head, /^Sec-WebSocket-Protocol: v4\.channel\.k8s\.io\r$/m);
    for (const unknown of ["nope.example", "v5.channel.k8s.io"]) {
      using socket = await open(AGENT_PORT, unknown);
      equals([socket.status, await socket.read()], [403, null], unknown);
    }
  });

  await t.step("port-forward: ports that are none, pods that are none, requests that are none", async () => {
    for (const [ports, why] of [["", "invalid syntax"], ["70000", "value out of range"]]) {
      const { status, body } = await client.ask(`${path}?ports=${ports}`);
      equals([status, body["message"]], [
        400,
        `cannot convert to []int32: strconv.ParseUint: parsing "${ports}": ${why}`,
      ]);
    }
    const missing = await client.ask(path.replace(/[^/]+\/portforward$/, "no-such/portforward?ports=1"));
    equals([missing.status, missing.body["message"]], [404, 'pods "no-such" not found']);
    const plain = await client.ask(`${path}?ports=${AGENT_PORT}`);
    equals([plain.status, plain.body["message"]], [400, "Upgrade request required"]);
  });
}

async function commands(t: Deno.TestContext, client: RawClient, path: string): Promise<void> {
  const open = (command: string, protocols: string) => {
    const words = command.split(" ").map((word) => `command=${encodeURIComponent(word)}`).join("&");
    return client.upgrade(`${path}?${words}&stdin=true&stdout=true&stderr=true`, protocols);
  };
  const join = `deno run --allow-net /telepresence/agent.js --stdio --port ${AGENT_PORT}`;
  /** The status that ends a command; what comes before it is passed over. */
  const statusOf = async (socket: RawSocket): Promise<Json> => {
    for (;;) {
      const [channel, ...text] = await payload(socket);
      if (channel === 3) return JSON.parse(new TextDecoder().decode(new Uint8Array(text)));
    }
  };

  await t.step("exec: first nothing on channel 1, then what the command says; v5 ends its input", async () => {
    using socket = await open(join, "v5.channel.k8s.io, v4.channel.k8s.io");
    equal(socket.status, 101);
    match(socket.head, /^Sec-WebSocket-Protocol: v5\.channel\.k8s\.io\r$/m);
    equals(await payload(socket), [1]);
    const hello = await payload(socket);
    equal(hello[0], 1);
    match(new TextDecoder().decode(new Uint8Array(hello.slice(3))), /^\{"telepresence":/);
    await socket.send(2, [255, 0]);
    equals(await statusOf(socket), { metadata: {}, status: "Success" });
    await closes(socket, [1000]);
  });

  await t.step("exec: v4 carries the same, without a way to end the input", async () => {
    using socket = await open(join, "v4.channel.k8s.io");
    equal(socket.status, 101);
    match(socket.head, /^Sec-WebSocket-Protocol: v4\.channel\.k8s\.io\r$/m);
    equals([await payload(socket), (await payload(socket))[0]], [[1], 1]);
    await socket.send(8, [0x03, 0xe8]);
  });

  await t.step("exec: an exit code, and a program that is not there, are statuses", async () => {
    using failing = await open(join.replace(/\d+$/, "1"), "v5.channel.k8s.io");
    const ended = await statusOf(failing);
    equals([textAt(ended, "reason"), textAt(ended, "message")], [
      "NonZeroExitCode",
      "command terminated with non-zero exit code: command terminated with exit code 1",
    ]);
    equals(at(ended, "details", "causes"), [{ reason: "ExitCode", message: "1" }]);
    using absent = await open("no-such-program", "v5.channel.k8s.io");
    const refused = await statusOf(absent);
    equals([textAt(refused, "status"), textAt(refused, "reason"), at(refused, "code")], [
      "Failure",
      "InternalError",
      500,
    ]);
    match(textAt(refused, "message"), /"no-such-program": executable file not found in \$PATH/);
  });
}

/** A Deployment of the real agent, whose key nobody has. */
async function deploy(client: RawClient, namespace: string, name: string, podSpec: object): Promise<void> {
  const source = await Deno.readTextFile(new URL("../../build/agent.js", import.meta.url));
  await client.ask(`/api/v1/namespaces/${namespace}/configmaps`, {
    method: "POST",
    body: { apiVersion: "v1", kind: "ConfigMap", metadata: { name: `${name}-agent` }, data: { "agent.js": source } },
  });
  const words = ["deno", "run", "--no-prompt", "--allow-net", "--allow-env", "/telepresence/agent.js"];
  const labels = { app: name };
  const { status, text } = await client.ask(`/apis/apps/v1/namespaces/${namespace}/deployments`, {
    method: "POST",
    body: {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name },
      spec: {
        replicas: 1,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            terminationGracePeriodSeconds: 1,
            containers: [{
              name: "telepresence",
              image: AGENT_IMAGE,
              imagePullPolicy: "IfNotPresent",
              command: [...words, `--port=${AGENT_PORT}`, `--key=${"A".repeat(43)}`],
              volumeMounts: [{ name: "agent", mountPath: "/telepresence", readOnly: true }],
            }],
            volumes: [{ name: "agent", configMap: { name: `${name}-agent` } }],
            ...podSpec,
          },
        },
      },
    },
  });
  equal(status, 201, text);
}

async function fakeTarget(): Promise<Target> {
  await using stack = new AsyncDisposableStack();
  const namespace = "conformance";
  const open = async (trouble?: Trouble) => {
    await using inside = new AsyncDisposableStack();
    const cluster = inside.use(await startFakeCluster({ namespaces: [namespace], trouble }));
    const client = inside.use(openRawClient(await loadKubeconfig({ env: { KUBECONFIG: cluster.kubeconfigPath } })));
    const owned = inside.move();
    return { cluster, client, namespace, podSpec: {}, [Symbol.asyncDispose]: () => owned.disposeAsync() };
  };
  const { cluster, client } = stack.use(await open());
  const owned = stack.move();
  return {
    client,
    namespace,
    troubled: open,
    async forbidden(path, method = "GET") {
      cluster.faults.add({}, { kind: "forbid" }, 1);
      const { status, body } = await client.ask(path, { method });
      return { user: "developer", status, body: body as Json };
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function realTarget(kubeconfig: string): Promise<Target> {
  const config: ClusterConfig = await loadKubeconfig({ env: { KUBECONFIG: kubeconfig } });
  await using stack = new AsyncDisposableStack();
  const client = stack.use(openRawClient(config));
  const makeNamespace = async (labels: object = {}) => {
    const name = `conformance-${crypto.randomUUID().slice(0, 8)}`;
    const body = { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } };
    equal((await client.ask("/api/v1/namespaces", { method: "POST", body })).status, 201);
    await until("the namespace's service account is there", async () => {
      const { status } = await client.ask(`/api/v1/namespaces/${name}/serviceaccounts/default`);
      return status === 200 ? true : undefined;
    });
    const end = async () => void await client.ask(`/api/v1/namespaces/${name}`, { method: "DELETE" });
    return { name, [Symbol.asyncDispose]: end };
  };
  const { name: namespace } = stack.use(await makeNamespace());
  const owned = stack.move();
  return {
    client,
    namespace,
    async troubled(trouble) {
      const labels = trouble === TROUBLES.admission ? { "pod-security.kubernetes.io/enforce": "restricted" } : {};
      const made = await makeNamespace(labels);
      if (trouble === TROUBLES.quota) {
        const body = {
          apiVersion: "v1",
          kind: "ResourceQuota",
          metadata: { name: "tight" },
          spec: { hard: { pods: "0" } },
        };
        const path = `/api/v1/namespaces/${made.name}/resourcequotas`;
        await client.ask(path, { method: "POST", body });
        await until("the quota is counted", async () => {
          return at((await client.ask(`${path}/tight`)).body as Json, "status", "hard") === undefined
            ? undefined
            : true;
        });
      }
      const podSpec = trouble === TROUBLES.unschedulable ? { nodeSelector: { "no-node": "has-this" } } : {};
      return { client, namespace: made.name, podSpec, [Symbol.asyncDispose]: () => made[Symbol.asyncDispose]() };
    },
    async forbidden(path, method = "GET") {
      const headers = { "Impersonate-User": "nobody" };
      const { status, body } = await client.ask(path, { method, headers });
      return { user: "nobody", status, body: body as Json };
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const UNTIL_MS = 60_000;

/** Asks again until there is an answer. @throws after a minute, with what was waited for */
async function until<T>(what: string, ask: () => Promise<T | undefined>): Promise<T> {
  const end = performance.now() + UNTIL_MS;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() > end) throw new Error(`Waited a minute in vain until ${what}`);
    await sleep(50);
  }
}

async function podOf(client: RawClient, namespace: string, app: string, fits: (pod: Json) => boolean): Promise<Json> {
  return await until(`the pod of ${app} is as it should be`, async () => {
    const { body } = await client.ask(`/api/v1/namespaces/${namespace}/pods?labelSelector=app%3D${app}`);
    return items(body).find(fits);
  });
}

function items(body: Record<string, unknown> | undefined): Json[] {
  return (body?.["items"] ?? []) as Json[];
}

function statusOf({ reason, message, details }: Record<string, unknown>) {
  return { reason, message, details };
}

function owner(object: Json): Json | undefined {
  const owners = at(object, "metadata", "ownerReferences");
  return Array.isArray(owners) ? owners[0] : undefined;
}

function state(pod: Json, name: string): Json | undefined {
  const statuses = at(pod, "status", "containerStatuses");
  return Array.isArray(statuses) ? at(statuses[0], "state", name) : undefined;
}

function conditions(pod: Json): Json[] {
  const found = at(pod, "status", "conditions");
  return Array.isArray(found) ? found : [];
}

async function payload(socket: RawSocket): Promise<number[]> {
  const frame = await socket.read();
  ok(frame !== null, "the server ended the connection");
  return [...frame.payload];
}

/** The server says that it closes, with these codes, and then does. */
async function closes(socket: RawSocket, codes: readonly number[]): Promise<void> {
  const seen: number[] = [];
  for (let frame; (frame = await socket.read()) !== null;) {
    if (frame.opcode === 8) seen.push((frame.payload[0] ?? 0) * 256 + (frame.payload[1] ?? 0));
  }
  equals(seen, codes);
}
