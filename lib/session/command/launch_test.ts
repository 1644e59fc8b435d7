import { match, ok, throws } from "node:assert/strict";
import { silentLog } from "@/log/mod.ts";
import { UserError } from "@/util/mod.ts";
import { launch } from "./launch.ts";

Deno.test("launch() tells what makes an environment too large for the kernel, and what can be done", () => {
  const links = Object.fromEntries(
    Array.from({ length: 400 }, (_, n) => [`WEB_${n}_SERVICE_HOST`, "10.0.0.1"]),
  );
  const env = { PATH: "/usr/bin:/bin", HUGE: "x".repeat(200_000), LARGE: "y".repeat(5_000), ...links };
  throws(() => launch(["true"], { env, log: silentLog }), (error) => {
    ok(error instanceof UserError);
    match(error.message, /^Cannot start "true": its environment is larger than the kernel takes: 403 variables, /);
    match(error.message, /the largest are HUGE \(200006 bytes\), LARGE \(5007 bytes\)/);
    match(error.hints.join(), /400 of the variables .* enableServiceLinks: false .* --env-unset/);
    return true;
  });
});

Deno.test("launch() leaves other refusals as they are", () => {
  throws(() => launch(["/no/such/program"], { env: {}, log: silentLog }), /command not found/);
});
