import { UserError } from "@/util/mod.ts";
import assert from "node:assert/strict";
import { type Answer, type SeenRequest, startServer, type TestServer } from "./_test_server.ts";
import type { ClusterConfig } from "./cluster_config.ts";
import type { KubeClient, PatientOptions } from "./kube_client.ts";
import { configMaps, deployments, namespaces, pods } from "./objects.ts";
import { openKubeClient } from "./open_kube_client.ts";
import { untyped } from "./resource.ts";
import { isAlreadyExists, isConflict, isForbidden, isInvalid, isNotFound, KubeError } from "./status.ts";

const failure = (code: number, reason: string, message: string, details = {}) => ({
  status: code,
  body: { kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure", code, reason, message, details },
});

const configMap = (name: string) => ({ metadata: { name, namespace: "default" }, data: { a: "1" } });

/** Runs `body` against a server that answers by `answer`. */
async function against<T>(
  answer: (request: SeenRequest, count: number) => Answer | Promise<Answer>,
  body: (kube: KubeClient, server: TestServer) => Promise<T>,
  over: Partial<ClusterConfig> = {},
): Promise<T> {
  let count = 0;
  await using server = startServer({ answer: ({ request }) => answer(request, count++) });
  await using kube = openKubeClient(server.config(over));
  return await body(kube, server);
}

/** The requests as `GET /path?query`. */
function asked({ seen }: TestServer): string[] {
  return seen.map(({ method, url }) => `${method} ${url.pathname}${decodeURIComponent(url.search)}`);
}

const REQUESTS: {
  name: string;
  call: (kube: KubeClient) => Promise<unknown>;
  want: { line: string; type?: string; body?: unknown };
}[] = [
  {
    name: "get",
    call: (kube) => kube.get(configMaps, { name: "x" }),
    want: { line: "GET /api/v1/namespaces/default/configmaps/x" },
  },
  {
    name: "get of a group, in a namespace",
    call: (kube) => kube.get(untyped(deployments), { namespace: "shop", name: "x" }),
    want: { line: "GET /apis/apps/v1/namespaces/shop/deployments/x" },
  },
  {
    name: "get without namespaces",
    call: (kube) => kube.get(namespaces, { name: "shop" }),
    want: { line: "GET /api/v1/namespaces/shop" },
  },
  {
    name: "create",
    call: (kube) => kube.create(configMaps, configMap("x"), { dryRun: true }),
    want: {
      line: "POST /api/v1/namespaces/default/configmaps?dryRun=All",
      type: "application/json",
      body: { apiVersion: "v1", kind: "ConfigMap", ...configMap("x") },
    },
  },
  {
    name: "merge patch",
    call: (kube) => kube.patch(configMaps, { name: "x" }, { type: "merge", body: { data: { a: null } } }),
    want: {
      line: "PATCH /api/v1/namespaces/default/configmaps/x",
      type: "application/merge-patch+json",
      body: { data: { a: null } },
    },
  },
  {
    name: "strategic patch",
    call: (kube) => kube.patch(configMaps, { name: "x" }, { type: "strategic", body: {} }),
    want: {
      line: "PATCH /api/v1/namespaces/default/configmaps/x",
      type: "application/strategic-merge-patch+json",
      body: {},
    },
  },
  {
    name: "JSON patch",
    call: (kube) => kube.patch(configMaps, { name: "x" }, { type: "json", body: [{ op: "remove", path: "/data" }] }),
    want: {
      line: "PATCH /api/v1/namespaces/default/configmaps/x",
      type: "application/json-patch+json",
      body: [{ op: "remove", path: "/data" }],
    },
  },
  {
    name: "server-side apply",
    call: (kube) =>
      kube.patch(configMaps, { name: "x" }, { type: "apply", body: {}, fieldManager: "me", force: true }, {
        dryRun: true,
      }),
    want: {
      line: "PATCH /api/v1/namespaces/default/configmaps/x?dryRun=All&fieldManager=me&force=true",
      type: "application/apply-patch+yaml",
      body: {},
    },
  },
  {
    name: "replace",
    call: (kube) => kube.replace(configMaps, configMap("x")),
    want: {
      line: "PUT /api/v1/namespaces/default/configmaps/x",
      body: { apiVersion: "v1", kind: "ConfigMap", ...configMap("x") },
    },
  },
  {
    name: "delete",
    call: (kube) =>
      kube.delete(configMaps, { name: "x" }, {
        propagation: "Foreground",
        uid: "u",
        resourceVersion: "7",
        gracePeriodSeconds: 0,
      }),
    want: {
      line: "DELETE /api/v1/namespaces/default/configmaps/x",
      body: {
        apiVersion: "v1",
        kind: "DeleteOptions",
        propagationPolicy: "Foreground",
        preconditions: { uid: "u", resourceVersion: "7" },
        gracePeriodSeconds: 0,
      },
    },
  },
  {
    name: "names are escaped",
    call: (kube) => kube.get(configMaps, { name: "../x?y" }),
    want: { line: "GET /api/v1/namespaces/default/configmaps/..%2Fx%3Fy" },
  },
];

Deno.test("KubeClient sends what the API asks for", async (t) => {
  for (const { name, call, want } of REQUESTS) {
    await t.step(name, async () => {
      await against(() => ({ body: configMap("x") }), async (kube, server) => {
        await call(kube);
        assert.deepEqual(asked(server), [want.line]);
        const [request] = server.seen;
        if (want.type) assert.equal(request?.headers.get("content-type"), want.type);
        assert.deepEqual(request?.body ? JSON.parse(request.body) : undefined, want.body);
      });
    });
  }
});

Deno.test("KubeClient joins a path prefix of the server", async () => {
  await using server = startServer({ answer: () => ({ body: configMap("x") }) });
  const config = server.config();
  await using kube = openKubeClient({ ...config, server: `${config.server}/k8s/clusters/c-1` });
  await kube.get(configMaps, { name: "x" });
  assert.deepEqual(asked(server), ["GET /k8s/clusters/c-1/api/v1/namespaces/default/configmaps/x"]);
});

Deno.test("KubeClient uses one connection for requests that follow each other", async () => {
  await against(() => ({ body: configMap("x") }), async (kube, server) => {
    for (let count = 0; count < 5; count++) await kube.get(configMaps, { name: "x" });
    await kube.create(configMaps, configMap("x"));
    assert.equal(server.connections, 1);
    server.drop();
    await kube.get(configMaps, { name: "x" }); // a connection that died while it waited is nobody's error
    server.drop();
    await assert.rejects(kube.create(configMaps, configMap("x"))); // but a POST may have been done: no second one
    assert.equal(server.seen.length, 7);
  });
});

Deno.test("list() fetches page by page, and begins anew when the pages have expired", async () => {
  const page = (from: number, token: string, version: string) => ({
    body: {
      metadata: { resourceVersion: version, ...(token && { continue: token }) },
      items: [configMap(`m${from}`), configMap(`m${from + 1}`)],
    },
  });
  const answers = [page(1, "two", "7"), failure(410, "Expired", "too old"), page(5, "more", "9"), page(7, "", "9")];
  await against((_, count) => answers[count] ?? failure(500, "", ""), async (kube, server) => {
    const { items, resourceVersion } = await kube.list(configMaps, { labelSelector: "a=b,c!=d", fieldSelector: "x=y" });
    assert.deepEqual(items.map(({ metadata }) => metadata.name), ["m5", "m6", "m7", "m8"]);
    assert.equal(resourceVersion, "9");
    const base = "GET /api/v1/namespaces/default/configmaps?labelSelector=a=b,c!=d&fieldSelector=x=y&limit=500";
    assert.deepEqual(asked(server), [base, `${base}&continue=two`, base, `${base}&continue=more`]);
  });
});

Deno.test("list() takes a list of nothing, and of all namespaces", async () => {
  await against(() => ({ body: { metadata: { resourceVersion: "1" }, items: null } }), async (kube, server) => {
    assert.deepEqual(await kube.list(pods, { allNamespaces: true }), { items: [], resourceVersion: "1" });
    assert.deepEqual(asked(server), ["GET /api/v1/pods?limit=500"]);
  });
});

Deno.test("get() fills in what the server leaves out, and untyped() takes everything as it is", async () => {
  const pod = { metadata: { name: "p", creationTimestamp: null }, spec: { containers: [{ name: "c", x: 1 }], y: 2 } };
  await against(() => ({ body: pod }), async (kube) => {
    const typed = await kube.get(pods, { name: "p" });
    assert.deepEqual(typed.metadata.labels, {});
    assert.deepEqual(typed.status.conditions, []);
    assert.deepEqual(typed.spec.containers[0]?.ports, []);
    assert.deepEqual(await kube.get(untyped(pods), { name: "p" }), pod);
  });
});

const ERRORS: { name: string; answer: Answer; is: (error: unknown) => boolean; words: string }[] = [
  { name: "404", answer: failure(404, "NotFound", 'pods "p" not found'), is: isNotFound, words: 'pods "p" not found' },
  { name: "409, a conflict", answer: failure(409, "Conflict", "changed"), is: isConflict, words: "changed" },
  { name: "409, there already", answer: failure(409, "AlreadyExists", "exists"), is: isAlreadyExists, words: "exists" },
  { name: "403", answer: failure(403, "Forbidden", "no"), is: isForbidden, words: "no" },
  { name: "422", answer: failure(422, "Invalid", "bad"), is: isInvalid, words: "bad" },
  {
    name: "a page of a proxy",
    answer: { status: 502, body: "<html>Bad Gateway</html>" },
    is: (error) => error instanceof KubeError && error.reason === "",
    words: "HTTP status 502",
  },
  {
    name: "plain text",
    answer: { status: 500, body: "out of order\n" },
    is: (error) => error instanceof KubeError,
    words: "out of order",
  },
];

Deno.test("KubeClient throws the API's own words", async (t) => {
  for (const { name, answer, is, words } of ERRORS) {
    await t.step(name, async () => {
      await against(() => answer, async (kube) => {
        await assert.rejects(kube.get(pods, { name: "p" }), (error) => {
          assert.ok(error instanceof KubeError && is(error));
          assert.equal(error.words, words);
          assert.equal(error.message, `Cannot get pod "p" in namespace "default": ${words}`);
          return true;
        });
      });
    });
  }
});

/** What an authorizer says: in a namespace, or of the whole cluster. */
function refused(verb: string, resource: string, group: string, namespace?: string): Answer {
  const where = namespace === undefined ? "at the cluster scope" : `in the namespace "${namespace}"`;
  const words =
    `User "system:serviceaccount:a:b" cannot ${verb} resource "${resource}" in API group "${group}" ${where}`;
  return failure(403, "Forbidden", `${resource} is forbidden: ${words}`);
}

Deno.test("KubeClient tells which rule is missing, and how to give it", async (t) => {
  const cases: { name: string; answer: Answer; call(kube: KubeClient): Promise<unknown>; want: string[] }[] = [
    {
      name: "of a resource in a group",
      answer: refused("patch", "deployments", "apps", "shop"),
      call: (kube) => kube.patch(deployments, { namespace: "shop", name: "x" }, { type: "merge", body: {} }),
      want: [
        'The rule that is missing: {apiGroups: ["apps"], resources: ["deployments"], verbs: ["patch"]}',
        "Who may grant it: kubectl create role NAME --verb=patch --resource=deployments.apps --namespace shop",
        "To check: kubectl auth can-i patch deployments.apps --namespace shop",
      ],
    },
    {
      name: "with both verbs of a port-forward, whichever lacks",
      answer: refused("create", "pods/portforward", "", "default"),
      call: (kube) => kube.portForward({ name: "p" }, 80),
      want: [
        'The rule that is missing: {apiGroups: [""], resources: ["pods/portforward"], verbs: ["get","create"]}',
        "Who may grant it: kubectl create role NAME --verb=get,create --resource=pods/portforward --namespace default",
        "To check: kubectl auth can-i get pods --subresource=portforward --namespace default",
      ],
    },
    {
      name: "of the whole cluster",
      answer: refused("list", "pods", ""),
      call: (kube) => kube.list(pods, { allNamespaces: true }),
      want: [
        'The rule that is missing: {apiGroups: [""], resources: ["pods"], verbs: ["list"]}',
        "Who may grant it: kubectl create clusterrole NAME --verb=list --resource=pods",
        "To check: kubectl auth can-i list pods",
      ],
    },
    {
      name: "for acting as somebody else, which is not what was asked",
      answer: refused("impersonate", "users", ""),
      call: (kube) => kube.get(pods, { name: "p" }),
      want: [
        'The rule that is missing: {apiGroups: [""], resources: ["users"], verbs: ["impersonate"]}',
        "Who may grant it: kubectl create clusterrole NAME --verb=impersonate --resource=users",
        "To check: kubectl auth can-i impersonate users",
      ],
    },
    ...[
      'pods "x" is forbidden: exceeded quota: tight, requested: pods=1, used: pods=0, limited: pods=0',
      'pods "x" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false',
      'admission webhook "policy.example.test" denied the request: no',
      'roles "x" is forbidden: user "a" is attempting to grant RBAC permissions not currently held',
    ].map((words) => ({
      name: `but not for what no rule helps against: ${words}`,
      answer: failure(403, "Forbidden", words),
      call: (kube: KubeClient) => kube.create(pods, { metadata: { name: "x" } }),
      want: [],
    })),
  ];
  for (const { name, answer, call, want } of cases) {
    await t.step(name, async () => {
      await against(() => answer, async (kube) => {
        const error = await call(kube).then(() => undefined, (error) => error);
        assert.ok(isForbidden(error));
        assert.deepEqual(error.hints, want);
      });
    });
  }
});

Deno.test("KubeClient names the field that is wrong", async () => {
  const causes = [{ reason: "FieldValueRequired", message: "Required value", field: "spec.x" }];
  await against(() => failure(422, "Invalid", "bad", { causes }), async (kube) => {
    await assert.rejects(kube.create(configMaps, configMap("x")), (error) => {
      assert.deepEqual(error instanceof KubeError && error.causes, causes);
      return true;
    });
  });
});

Deno.test("KubeClient tries again when the server says after how long, and then gives up", async () => {
  const busy = { ...failure(429, "TooManyRequests", "busy"), headers: { "Retry-After": "0" } };
  await against((_, count) => count < 3 ? busy : { body: configMap("x") }, async (kube, server) => {
    await kube.create(configMaps, configMap("x"));
    assert.equal(server.seen.length, 4);
  });
  await against(() => busy, async (kube, server) => {
    await assert.rejects(kube.get(configMaps, { name: "x" }), KubeError);
    assert.equal(server.seen.length, 11);
  });
  await against(() => failure(503, "", "down"), async (kube, server) => {
    await assert.rejects(kube.get(configMaps, { name: "x" }), KubeError);
    assert.equal(server.seen.length, 1);
  });
});

Deno.test("KubeClient tells of a refusal before it waits as long as the server says", async () => {
  const busy = { ...failure(429, "TooManyRequests", "busy"), headers: { "Retry-After": "60" } };
  const where = { name: "x" };
  const calls: Record<string, (kube: KubeClient, options: PatientOptions) => Promise<unknown>> = {
    get: (kube, options) => kube.get(configMaps, where, options),
    create: (kube, options) => kube.create(configMaps, configMap("x"), options),
    patch: (kube, options) => kube.patch(configMaps, where, { type: "merge", body: {} }, options),
    replace: (kube, options) => kube.replace(configMaps, configMap("x"), options),
    delete: (kube, options) => kube.delete(configMaps, where, options),
  };
  for (const [name, call] of Object.entries(calls)) {
    await against(() => busy, async (kube) => {
      const waiting = new AbortController();
      const told: string[] = [];
      const onBusy = ({ status, words }: KubeError) => {
        told.push(`${status} ${words}`);
        waiting.abort(new Error("long enough"));
      };
      await assert.rejects(call(kube, { signal: waiting.signal, onBusy }), /^Error: long enough$/, name);
      assert.deepEqual(told, ["429 busy"], name);
    });
  }
});

Deno.test("KubeClient sends whom to act as, on requests and on upgrades", async () => {
  const impersonate = { user: "jane", uid: "7", groups: ["a", "b"], extra: { "example.test/scopes": ["x", "y"] } };
  await against(() => failure(403, "Forbidden", "no"), async (kube, server) => {
    await assert.rejects(kube.get(pods, { name: "p" }), isForbidden);
    await assert.rejects(kube.portForward({ name: "p" }, 80), isForbidden);
    for (const { headers } of server.seen) {
      assert.equal(headers.get("impersonate-user"), "jane");
      assert.equal(headers.get("impersonate-uid"), "7");
      assert.equal(headers.get("impersonate-group"), "a, b");
      assert.equal(headers.get("impersonate-extra-example.test%2fscopes"), "x, y");
    }
    assert.equal(server.seen.length, 3); // the port-forward was tried by both verbs
  }, { impersonate });
});

Deno.test("KubeClient ends a request with the signal's reason, also while a body comes", async () => {
  const reason = new Error("enough");
  const controller = new AbortController();
  await using server = startServer({
    async answer({ conn }) {
      await conn.write(new TextEncoder().encode("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"));
      controller.abort(reason);
      await conn.read(new Uint8Array(1));
      return undefined;
    },
  });
  await using kube = openKubeClient(server.config());
  await assert.rejects(kube.get(pods, { name: "p" }, { signal: controller.signal }), reason);
  await assert.rejects(kube.get(pods, { name: "p" }, { signal: AbortSignal.abort(reason) }), reason);
});

Deno.test("KubeClient ends a request whose signal aborts before it is sent on a connection that waited", async () => {
  let asked = 0;
  await using server = startServer({
    async answer({ conn }) {
      if (asked++ === 0) return { body: { gitVersion: "v1.34.1", major: "1", minor: "34" } };
      await conn.read(new Uint8Array(1)); // a server that has nothing to say yet, as in a watch
      return undefined;
    },
  });
  await using kube = openKubeClient(server.config());
  await kube.version();
  const reason = new Error("enough");
  const controller = new AbortController();
  const asking = kube.get(pods, { name: "p" }, { signal: controller.signal });
  controller.abort(reason);
  await assert.rejects(asking, reason);
});

Deno.test("KubeClient says so when the server closes without an answer", async () => {
  await using server = startServer({ answer: () => undefined });
  await using kube = openKubeClient(server.config());
  await assert.rejects(kube.version(), (error) => {
    assert.ok(error instanceof UserError);
    assert.match(
      error.message,
      /^Cannot get the API server's version: lost the connection to .*: it closed the connection without an answer$/,
    );
    return true;
  });
});

Deno.test("mayI() asks for a review, and logs are read by container", async () => {
  const line = (call: (kube: KubeClient) => Promise<unknown>, body: unknown) =>
    against(() => ({ body }), async (kube, server) => {
      const result = await call(kube);
      return { result, asked: asked(server), body: server.seen[0]?.body };
    });
  const review = await line(
    (kube) => kube.mayI({ verb: "create", resource: pods, subresource: "portforward", namespace: "shop" }),
    { status: { allowed: true } },
  );
  assert.equal(review.result, true);
  assert.deepEqual(JSON.parse(review.body ?? "").spec.resourceAttributes, {
    verb: "create",
    group: "",
    resource: "pods",
    subresource: "portforward",
    namespace: "shop",
  });
  const logs = await line(
    (kube) => kube.logs({ name: "p", container: "c" }, { tailLines: 5, previous: true }),
    "a\nb\n",
  );
  assert.equal(logs.result, "a\nb\n");
  assert.deepEqual(logs.asked, ["GET /api/v1/namespaces/default/pods/p/log?container=c&tailLines=5&previous=true"]);
  const lines = await line((kube) => Array.fromAsync(kube.followLogs({ name: "p" })), "a\nb\n");
  assert.deepEqual(lines.result, ["a", "b"]);
  assert.deepEqual(lines.asked, ["GET /api/v1/namespaces/default/pods/p/log?follow=true"]);
});

Deno.test("KubeClient says so when something else than an API server answers", async () => {
  for (const body of ["<html>Please log in</html>", { kind: "Pod" }]) {
    await against(() => ({ body }), async (kube) => {
      for (const call of [kube.get(pods, { name: "p" }), kube.list(pods), kube.version()]) {
        await assert.rejects(call, (error) => {
          assert.ok(error instanceof UserError, String(error));
          assert.match(error.message, /^Cannot .*: (what answered is no API server|the API server's answer is not)/);
          return true;
        });
      }
    });
  }
});

Deno.test("version() reads a version with a plus", async () => {
  await against(() => ({ body: { gitVersion: "v1.27.3-gke.1", major: "1", minor: "27+" } }), async (kube) => {
    assert.deepEqual(await kube.version(), { gitVersion: "v1.27.3-gke.1", major: 1, minor: 27 });
  });
});

Deno.test("discover() finds what is namespaced and can be listed, and passes over a group that is down", async () => {
  const resource = (name: string, over = {}) => ({
    name,
    kind: name,
    namespaced: true,
    verbs: ["get", "list"],
    ...over,
  });
  const answers: Record<string, Answer> = {
    "/apis": {
      body: {
        groups: [
          { preferredVersion: { groupVersion: "apps/v1" } },
          { preferredVersion: { groupVersion: "metrics.k8s.io/v1beta1" } },
        ],
      },
    },
    "/api/v1": {
      body: { resources: [resource("pods"), resource("pods/log"), resource("nodes", { namespaced: false })] },
    },
    "/apis/apps/v1": { body: { resources: [resource("deployments"), resource("reviews", { verbs: ["create"] })] } },
    "/apis/metrics.k8s.io/v1beta1": failure(503, "ServiceUnavailable", "down"),
  };
  await against(({ url }) => answers[url.pathname] ?? failure(404, "", ""), async (kube) => {
    const found = await kube.discover();
    assert.deepEqual(found.map(({ group, plural }) => `${group}/${plural}`), ["/pods", "apps/deployments"]);
  });
});
