import { deepStrictEqual as equals } from "node:assert/strict";
import { childEnvironment, imageVariables, podVariables, SOURCE_MARK, writtenEnvironment } from "./mod.ts";

const NO_CHANGES = { set: {}, unset: [] };

Deno.test("childEnvironment() lays the pod's variables over the host's, and the session's over both", () => {
  equals(
    childEnvironment({
      host: { EDITOR: "vi", REDIS_HOST: "localhost" },
      pod: { REDIS_HOST: "10.0.0.7", MULTI: "a\nb=c" },
      session: { TELEPRESENCE_POD: "p" },
      changes: NO_CHANGES,
    }),
    { EDITOR: "vi", REDIS_HOST: "10.0.0.7", MULTI: "a\nb=c", TELEPRESENCE_POD: "p" },
  );
});

Deno.test("childEnvironment() keeps the host's own places, and leaves out what is for the agent's runtime", () => {
  const container = {
    HOME: "/root",
    PATH: "/pod/bin",
    HOSTNAME: "web-0",
    LD_LIBRARY_PATH: "/opt",
    LD_PRELOAD: "/theirs.so",
    DENO_DIR: "/tmp/deno",
    HOMEPAGE: "kept",
  };
  const names = ["HOME", "PATH", "HOSTNAME", "LD_LIBRARY_PATH", "LD_PRELOAD", "HOMEPAGE"];
  const { variables, loader, image } = podVariables(container, { names, sources: false });
  equals(
    childEnvironment({
      host: { HOME: "/home/me", PATH: "/bin", LD_PRELOAD: "/mine.so" },
      pod: variables,
      session: {},
      changes: NO_CHANGES,
    }),
    { HOME: "/home/me", PATH: "/bin", LD_PRELOAD: "/mine.so", HOMEPAGE: "kept" },
  );
  equals(loader, ["LD_LIBRARY_PATH", "LD_PRELOAD"]);
  equals(image, ["DENO_DIR"]);
});

Deno.test("childEnvironment() takes away and sets what the user wants, whoever had it", async (t) => {
  const base = {
    host: { AWS_PROFILE: "mine", AWS_REGION: "x", A: "host", AB: "host" },
    pod: { A: "pod", REDIS_PORT_6379_TCP: "tcp://", "a.b-c": "1", axb: "2" },
    session: { TELEPRESENCE_POD: "p" },
  };
  const table = [
    { name: "a pattern takes the host's and the pod's", unset: ["AWS_*", "REDIS_*"], gone: /^(AWS_|REDIS_)/ },
    { name: "? is one character", unset: ["A?"], gone: /^AB$/ },
    { name: "a name is a pattern", unset: ["A"], gone: /^A$/ },
    { name: "a dot is a dot", unset: ["a.b-c"], gone: /^a\.b-c$/ },
    { name: "a pattern is the whole name", unset: ["WS_*"], gone: /^$/ },
  ];
  for (const { name, unset, gone } of table) {
    await t.step(name, () => {
      const all = Object.entries({ ...base.host, ...base.pod, ...base.session });
      const want = Object.fromEntries(all.filter(([key]) => !gone.test(key)));
      equals(childEnvironment({ ...base, changes: { set: {}, unset } }), want);
    });
  }
  await t.step("what is set stays, even where a pattern matches, and is in the files too", () => {
    const changes = { set: { A: "mine", LD_PRELOAD: "/x.so", TELEPRESENCE_POD: "q" }, unset: ["*"] };
    equals(childEnvironment({ ...base, changes }), changes.set);
    equals(writtenEnvironment({ ...base, changes }), changes.set);
  });
});

Deno.test("childEnvironment() has nothing of a session around this one", () => {
  const host = { TELEPRESENCE_ROOT: "/outer", TELEPRESENCE_MOUNTS: "/x", TELEPRESENCE_REGISTRY: "r.example" };
  equals(
    childEnvironment({ host, pod: { TELEPRESENCE_ROOT: "/pod" }, session: {}, changes: NO_CHANGES }),
    { TELEPRESENCE_REGISTRY: "r.example" },
  );
});

Deno.test("podVariables() counts out what the image brings", async (t) => {
  const links = {
    REDIS_SERVICE_HOST: "10.0.0.1",
    REDIS_SERVICE_PORT: "6379",
    REDIS_SERVICE_PORT_HTTP: "6379",
    REDIS_PORT: "tcp://10.0.0.1:6379",
    REDIS_PORT_6379_TCP: "tcp://10.0.0.1:6379",
    REDIS_PORT_6379_TCP_PROTO: "tcp",
    REDIS_PORT_6379_TCP_PORT: "6379",
    REDIS_PORT_6379_TCP_ADDR: "10.0.0.1",
    A_PORT_B_SERVICE_HOST: "10.0.0.2",
    A_PORT_B_SERVICE_PORT: "1",
    A_PORT_B_PORT_1_UDP: "udp://10.0.0.2:1",
  };
  const image = { DENO_DIR: "/deno-dir/", LANG: "C.UTF-8", FTP_PORT: "21", GPG_KEY: "1" };
  const nothing = { names: [], sources: false };
  const sources = { names: [], sources: true };
  await t.step("the variables of Services are the pod's", () => {
    equals(podVariables({ ...image, ...links }, nothing).variables, links);
    equals(podVariables({ ...image, ...links }, nothing).image, Object.keys(image));
  });
  await t.step("a name in the template is the pod's, whatever it looks like", () => {
    const names = ["DENO_DIR", "FTP_PORT"];
    equals(podVariables(image, { names, sources: false }).variables, { DENO_DIR: "/deno-dir/", FTP_PORT: "21" });
  });
  await t.step("a marked source tells its names", () => {
    const container = { ...image, [`${SOURCE_MARK}TOKEN`]: "t", [`${SOURCE_MARK}LANG`]: "de" };
    equals(podVariables(container, nothing).variables, { LANG: "de", TOKEN: "t" });
  });
  await t.step("where a source is not marked, only what is certain is left out", () => {
    equals(podVariables({ ...image, TOKEN: "t" }, sources).image, ["DENO_DIR"]);
  });
  await t.step("where a source is not marked, what the template has for the agent is left out too", () => {
    const { variables, image } = podVariables({ HEAPS: "2", TOKEN: "t" }, { ...sources, agent: ["HEAPS"] });
    equals([variables, image], [{ TOKEN: "t" }, ["HEAPS"]]);
  });
  await t.step("a source's own value of such a name is the pod's", () => {
    const container = { HEAPS: "2", [`${SOURCE_MARK}HEAPS`]: "4" };
    equals(podVariables(container, { ...nothing, agent: ["HEAPS"] }).variables, { HEAPS: "4" });
  });
});

Deno.test("podVariables() gives what came from marked sources, as Kubernetes would have given it", async (t) => {
  const from = (variables: Record<string, string>) =>
    Object.fromEntries(Object.entries(variables).map(([name, value]) => [SOURCE_MARK + name, value]));
  await t.step("what the agent's runtime would obey, under its true name", () => {
    const started = {
      DENO_DIR: "/agent",
      ...from({ NODE_OPTIONS: "--require /app.js", DENO_DIR: "/app", LD_PRELOAD: "x" }),
    };
    const { variables, loader } = podVariables(started, { names: [], sources: false });
    equals([variables, loader], [{ NODE_OPTIONS: "--require /app.js", DENO_DIR: "/app" }, ["LD_PRELOAD"]]);
  });
  await t.step("env before envFrom", () => {
    const started = {
      A: "env",
      TELEPRESENCE_KEPT_NODE_OPTIONS: "env",
      ...from({ A: "source", NODE_OPTIONS: "source" }),
    };
    const { variables } = podVariables(started, { names: ["A", "TELEPRESENCE_KEPT_NODE_OPTIONS"], sources: false });
    equals(variables, { A: "env", NODE_OPTIONS: "env" });
  });
  await t.step("references that found nothing among the sources", () => {
    const services = { DB_SERVICE_HOST: "10.0.0.1", DB_SERVICE_PORT: "5432" };
    const value = `$(${SOURCE_MARK}DB_SERVICE_HOST):1 $(${SOURCE_MARK}NOTHING) $(A)`;
    const { variables } = podVariables({ ...services, URL: value }, { names: ["URL"], sources: false });
    equals(variables, { ...services, URL: "10.0.0.1:1 $(NOTHING) $(A)" });
  });
});

Deno.test("podVariables() gives variables that were kept from the agent's runtime back under their true names", () => {
  const started = {
    DENO_DIR: "/agent", // the agent's own
    TELEPRESENCE_KEPT_DENO_DIR: "/app", // the template's
    TELEPRESENCE_KEPT_NODE_OPTIONS: "--require /app.js",
    TELEPRESENCE_KEPT_LD_PRELOAD: "/pod.so",
    OF_THE_IMAGE: "x",
  };
  const names = ["TELEPRESENCE_KEPT_DENO_DIR", "TELEPRESENCE_KEPT_NODE_OPTIONS", "TELEPRESENCE_KEPT_LD_PRELOAD"];
  equals(podVariables(started, { names, sources: false }), {
    variables: { DENO_DIR: "/app", NODE_OPTIONS: "--require /app.js" },
    loader: ["LD_PRELOAD"],
    image: ["OF_THE_IMAGE"],
  });
});

Deno.test("imageVariables() has what only the image can have brought, byte for byte", () => {
  const block = [
    ...["PATH=/usr/bin", "HOME=/root", "HOSTNAME=web-1", "LD_LIBRARY_PATH=/opt", "LANG=C.UTF-8", "A=b=c", "EMPTY="],
    ...["LINES=1\n2\n", "OWN=image", "WEB_SERVICE_HOST=10.0.0.1", "WEB_SERVICE_PORT=80", "WEB_PORT_80_TCP_PROTO=tcp"],
    ...["BINARY=\ufffd", "TELEPRESENCE_ROOT=/x", "MY_PORT=8080", "no equals sign", "=x"],
  ].map((entry) => `${entry}\0`).join("");
  equals(imageVariables(block, { OWN: "pod" }), {
    LANG: "C.UTF-8",
    A: "b=c",
    EMPTY: "",
    LINES: "1\n2\n",
    MY_PORT: "8080",
  });
  equals(imageVariables("", {}), {});
});
