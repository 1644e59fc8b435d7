import { ok, rejects, strictEqual as equal } from "node:assert/strict";
import { injectTcp } from "@/capture/mod.ts";
import { makeFakePod } from "./fake_pod.ts";
import { buildShim, runToEnd, serveText } from "./harness.ts";

Deno.test("injectTcp() is the method: it refuses, starts, hands out an environment, and leaves nothing", async () => {
  await using hello = serveText("hello\n");
  const pod = makeFakePod({ services: { "10.96.7.7 80": hello.port }, names: { hello: ["10.96.7.7"] } });
  const directory = await Deno.makeTempDir({ prefix: "telepresence-test-" });
  try {
    const method = injectTcp({ shim: await buildShim(), directories: [directory] });
    ok(method.limits.length > 0);
    const path = Deno.env.get("PATH") ?? "";
    await rejects(
      method.requireCarriable("no-such-program", { path }),
      /^UserError: no-such-program: command not found$/,
    );
    await method.requireCarriable("curl", { path });
    {
      await using capture = await method.start(pod);
      equal((await Array.fromAsync(Deno.readDir(directory))).length, 1);
      const { stdout } = await runToEnd(["curl", "-sS", "http://hello/"], capture.environment({ PATH: path }));
      equal(stdout, "hello\n");
    }
    equal((await Array.fromAsync(Deno.readDir(directory))).length, 0);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("startInject() ends at once with connections and dials under way, and tells that it has closed", async () => {
  const pod = makeFakePod({ services: { "10.96.7.7 9": "silence" }, names: {} });
  const controller = new AbortController();
  const capture = await injectTcp({ shim: await buildShim() }).start(pod, { signal: controller.signal });
  const child = new Deno.Command("python3", {
    args: ["-c", "import socket; print(socket.socket().connect_ex(('10.96.7.7', 9)))"],
    env: capture.environment({ PATH: Deno.env.get("PATH") ?? "" }),
    clearEnv: true,
    stdout: "piped",
    stderr: "null",
  }).spawn();
  for (let i = 0; i < 500 && pod.dials.length === 0; i++) await new Promise((resolve) => setTimeout(resolve, 10));
  controller.abort(new Error("Received SIGINT"));
  equal(new TextDecoder().decode((await child.output()).stdout), "111\n");
  equal(pod.givenUp.length, 1);
  await capture[Symbol.asyncDispose]();
  await capture.closed;
});
