/** Servers under the shim: what they listen on stays on the host, what they connect to is in the pod. */
import { deepStrictEqual as equals, strictEqual as equal } from "node:assert/strict";
import { freePort } from "../testkit/free_port.ts";
import { hasProgram, openWorld, runToEnd, serveEcho, serveText, type World } from "./harness.ts";

Deno.test("nginx is a reverse proxy with workers, to upstreams in the pod", {
  ignore: !await hasProgram("nginx"),
}, async (t) => {
  await using hello = serveText("hello\n");
  await using world = await openWorld({
    services: { "10.96.7.7 80": hello.port, "10.96.7.8 80": "ECONNREFUSED" },
    names: { hello: ["10.96.7.7"], shut: ["10.96.7.8"], both: ["10.96.7.8", "10.96.7.7"] },
  });
  const dir = await Deno.makeTempDir({ prefix: "telepresence-test-" });
  const port = freePort();
  // Workers of another user could not reach the control socket, which is the user's own: shim/README.md.
  await Deno.writeTextFile(
    `${dir}/nginx.conf`,
    `
${Deno.uid() === 0 ? "user root;" : ""}
daemon off; worker_processes 3; pid ${dir}/pid; error_log ${dir}/error.log;
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path ${dir}/a; proxy_temp_path ${dir}/b; fastcgi_temp_path ${dir}/c; uwsgi_temp_path ${dir}/d;
  scgi_temp_path ${dir}/e;
  server {
    listen 127.0.0.1:${port};
    location /hello { proxy_pass http://hello/; }
    location /shut { proxy_pass http://shut/; }
    location /both { proxy_pass http://both/; }
  }
}`,
  );
  const child = launch(world, "nginx", ["-p", dir, "-c", `${dir}/nginx.conf`]);
  try {
    await listening(port);
    const status = async (path: string) => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`);
      return [response.status, (await response.text()).slice(0, 6)];
    };
    await t.step("200 requests, 20 at once", async () => {
      for (let round = 0; round < 10; round++) {
        const answers = await Promise.all(Array.from({ length: 20 }, () => status("/hello")));
        equals(answers, Array.from({ length: 20 }, () => [200, "hello\n"]));
      }
    });
    await t.step("an upstream that refuses is 502", async () => equal((await status("/shut"))[0], 502));
    await t.step("the next upstream is taken", async () => equals(await status("/both"), [200, "hello\n"]));
    await t.step("the log has the pod's errno", async () => {
      const log = await Deno.readTextFile(`${dir}/error.log`);
      equal(/connect\(\) failed \(111: Connection refused\)/.test(log), true, log);
    });
  } finally {
    child.kill("SIGQUIT");
    await child.status;
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("redis-cli talks to a server in the pod", {
  ignore: !await hasProgram("redis-cli") || !await hasProgram("redis-server"),
}, async () => {
  const dir = await Deno.makeTempDir({ prefix: "telepresence-test-" });
  const port = freePort();
  const server = new Deno.Command("redis-server", {
    args: ["--port", `${port}`, "--bind", "127.0.0.1", "--dir", dir, "--save", ""],
    stdout: "null",
    stderr: "null",
  }).spawn();
  try {
    await listening(port);
    await using world = await openWorld({ services: { "10.96.7.7 6379": port }, names: { redis: ["10.96.7.7"] } });
    equal((await world.run(["redis-cli", "-h", "redis", "set", "a", "b"])).stdout, "OK\n");
    equal((await world.run(["redis-cli", "-h", "redis", "get", "a"])).stdout, "b\n");
    const { stderr } = await world.run(["redis-cli", "-h", "redis", "-p", "1", "get", "a"]);
    equal(stderr, "Could not connect to Redis at redis:1: Connection refused\n");
  } finally {
    server.kill("SIGTERM");
    await server.status;
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test(
  "git clones from a server in the pod, over git:// and http",
  { ignore: !await hasProgram("git") },
  async () => {
    const dir = await Deno.makeTempDir({ prefix: "telepresence-test-" });
    const port = freePort();
    const bare = { PATH: Deno.env.get("PATH") ?? "", HOME: dir, GIT_CONFIG_NOSYSTEM: "1" };
    const git = async (...args: string[]) => {
      const { code, stderr } = await runToEnd(["git", "-c", "user.name=a", "-c", "user.email=a@b", ...args], bare);
      equal(code, 0, stderr);
    };
    await git("init", "--quiet", `${dir}/served`);
    await git("-C", `${dir}/served`, "commit", "--quiet", "--allow-empty", "-m", "first");
    await git("-C", `${dir}/served`, "update-server-info");
    const server = new Deno.Command("git", {
      args: ["daemon", "--export-all", "--reuseaddr", `--base-path=${dir}`, "--listen=127.0.0.1", `--port=${port}`],
      env: bare,
      stdout: "null",
      stderr: "null",
    }).spawn();
    await using files = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
      const path = `${dir}/served/.git${new URL(request.url).pathname.slice("/served.git".length)}`;
      return new Response(await Deno.readFile(path).catch(() => null), { status: await exists(path) ? 200 : 404 });
    });
    try {
      await listening(port);
      await using world = await openWorld({
        services: { "10.96.7.7 9418": port, "10.96.7.7 80": files.addr.port },
        names: { forge: ["10.96.7.7"] },
      });
      for (const url of ["git://forge/served", "http://forge/served.git"]) {
        const clone = `${dir}/clone-${url.slice(0, 3)}`;
        const cloned = await world.run(["git", "clone", "--quiet", url, clone], { env: { HOME: dir } });
        equals([cloned.code, cloned.stderr], [0, ""]);
        equal((await runToEnd(["git", "-C", clone, "log", "--format=%s"], bare)).stdout, "first\n");
      }
    } finally {
      server.kill("SIGTERM");
      await server.status;
      await Deno.remove(dir, { recursive: true });
    }
  },
);

const exists = (path: string) => Deno.stat(path).then(() => true, () => false);

Deno.test("A pre-forking python server accepts on the host, and its workers connect in the pod", async () => {
  await using echo = serveEcho();
  await using world = await openWorld({ services: { "10.96.7.7 7": echo.port }, names: { echo: ["10.96.7.7"] } });
  const port = freePort();
  const script = `
import os, signal, socket
s = socket.create_server(("127.0.0.1", ${port}), backlog=64)
children = []
for i in range(3):
    pid = os.fork()
    if pid == 0:
        while True:
            conn, peer = s.accept()
            with socket.create_connection(("echo", 7)) as there:
                there.sendall(conn.recv(100)); conn.sendall(there.recv(100))
            assert conn.getpeername() == peer
            conn.close()
    children.append(pid)
def stop(*_):
    for pid in children: os.kill(pid, signal.SIGKILL)
    os._exit(0)
signal.signal(signal.SIGTERM, stop)
while True: signal.pause()
`;
  const child = launch(world, "python3", ["-c", script]);
  try {
    await listening(port);
    const talk = async (text: string) => {
      using conn = await Deno.connect({ hostname: "127.0.0.1", port });
      await conn.write(new TextEncoder().encode(text));
      const buffer = new Uint8Array(100);
      return new TextDecoder().decode(buffer.subarray(0, await conn.read(buffer) ?? 0));
    };
    const words = Array.from({ length: 20 }, (_, i) => `word ${i}`);
    equals(await Promise.all(words.map(talk)), words);
  } finally {
    child.kill("SIGTERM");
    await child.status;
  }
});

function launch(world: World, program: string, args: string[]): Deno.ChildProcess {
  const env = world.capture.environment({ PATH: Deno.env.get("PATH") ?? "" });
  return new Deno.Command(program, { args, env, clearEnv: true, stdin: "null" }).spawn();
}

async function listening(port: number): Promise<void> {
  for (let i = 0; i < 500; i++) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
  throw new Error(`Nothing listens on port ${port} after 5 s`);
}
