import { deepStrictEqual as equals } from "node:assert/strict";
import { childEnvironment } from "./mod.ts";

Deno.test("childEnvironment() lays the pod's variables over the host's, and the session's over both", () => {
  equals(
    childEnvironment({
      host: { EDITOR: "vi", REDIS_HOST: "localhost" },
      pod: { REDIS_HOST: "10.0.0.7", MULTI: "a\nb=c" },
      session: { TELEPRESENCE_POD: "p" },
    }),
    { EDITOR: "vi", REDIS_HOST: "10.0.0.7", MULTI: "a\nb=c", TELEPRESENCE_POD: "p" },
  );
});

Deno.test("childEnvironment() keeps the host's own places, and leaves out what is for the agent's runtime", () => {
  equals(
    childEnvironment({
      host: { HOME: "/home/me", PATH: "/bin", LD_PRELOAD: "/mine.so" },
      pod: {
        HOME: "/root",
        PATH: "/pod/bin",
        HOSTNAME: "web-0",
        LD_LIBRARY_PATH: "/opt",
        LD_PRELOAD: "/theirs.so",
        DENO_DIR: "/tmp/deno",
        HOMEPAGE: "kept",
      },
      session: {},
    }),
    { HOME: "/home/me", PATH: "/bin", LD_PRELOAD: "/mine.so", HOMEPAGE: "kept" },
  );
});
