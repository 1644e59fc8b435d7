import { deepStrictEqual as equals, match, strictEqual as equal } from "node:assert/strict";
import { openWorld, serveText } from "./harness.ts";

Deno.test("curl reads a Service by its name", async () => {
  await using hello = serveText("Hello from the pod\n");
  await using world = await openWorld({
    services: { "10.96.7.7 80": hello.port },
    names: { "helloworld.default": ["10.96.7.7"] },
  });
  equals(await world.run(["curl", "-sS", "http://helloworld.default/"]), {
    code: 0,
    stdout: "Hello from the pod\n",
    stderr: "",
  });
  equals(world.pod.dials, ["10.96.7.7 80"]);
});

Deno.test("python's urllib reads a Service by its name", async () => {
  await using hello = serveText("Hello from the pod\n");
  await using world = await openWorld({
    services: { "10.96.7.7 80": hello.port },
    names: { helloworld: ["10.96.7.7"] },
  });
  const script = "import urllib.request as r; print(r.urlopen('http://helloworld/').read().decode(), end='')";
  equals(await world.run(["python3", "-c", script]), { code: 0, stdout: "Hello from the pod\n", stderr: "" });
});

Deno.test("connect() fails with the pod's errno, and leaves the descriptor as it was", async (t) => {
  await using hello = serveText("second\n");
  await using world = await openWorld({
    services: {
      "10.96.7.7 1": "ECONNREFUSED",
      "10.96.7.7 2": "EHOSTUNREACH",
      "10.96.7.7 3": "ENETUNREACH",
      "10.96.7.7 4": "ETIMEDOUT",
      "10.96.7.7 5": "EACCES",
      "10.96.7.7 80": hello.port,
    },
    names: {},
  });
  const script = `
import errno, socket, sys
s = socket.socket()
for port in 1, 2, 3, 4, 5:
    print(errno.errorcode[s.connect_ex(("10.96.7.7", port))])
print(s.connect_ex(("10.96.7.7", 80)))
`;
  const { stdout } = await world.run(["python3", "-c", script]);
  await t.step("in order", () => equal(stdout, "ECONNREFUSED\nEHOSTUNREACH\nENETUNREACH\nETIMEDOUT\nEACCES\n0\n"));
});

Deno.test("An unknown name is EAI_NONAME, another failure its own code", async () => {
  await using world = await openWorld({ services: {}, names: {} });
  const script = `
import socket
for name in "absent", "x.again", "x.fail":
    try: socket.getaddrinfo(name, 80)
    except socket.gaierror as e: print([k for k in dir(socket) if k.startswith("EAI_") and getattr(socket, k) == e.errno])
    try: socket.gethostbyname(name)
    except socket.gaierror as e: print(e.errno != 0)
`;
  equal(
    (await world.run(["python3", "-c", script])).stdout,
    "['EAI_NONAME']\nTrue\n['EAI_AGAIN']\nTrue\n['EAI_FAIL']\nTrue\n",
  );
});

Deno.test("Calls fail, and one line says why, when the session is gone", async () => {
  const world = await openWorld({ services: {}, names: {} });
  const environment = world.capture.environment({ PATH: Deno.env.get("PATH") ?? "" });
  // The shim stays where it was while its session ends, as it does for a program that is already running.
  const script = `
import os, socket, sys
print("started", flush=True)
sys.stdin.readline()
print(socket.socket().connect_ex(("10.96.7.7", 80)))
for i in range(3):
    try: socket.getaddrinfo("helloworld", 80)
    except socket.gaierror as e: print(e.errno == socket.EAI_AGAIN)
`;
  const child = new Deno.Command("python3", {
    args: ["-c", script],
    env: environment,
    clearEnv: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  equal(new TextDecoder().decode((await reader.read()).value), "started\n");
  await world[Symbol.asyncDispose]();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode("\n"));
  await writer.close();
  reader.releaseLock();
  const { stdout, stderr } = await child.output();
  equal(new TextDecoder().decode(stdout), "111\nTrue\nTrue\nTrue\n");
  match(new TextDecoder().decode(stderr), /^telepresence: Cannot reach the pod: the session has ended\n$/);
});
