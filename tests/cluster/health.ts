import { request as requestPlain } from "node:http";
import { request as requestTls } from "node:https";
import type { Component } from "./components.ts";
import type { Instance } from "./instance.ts";
import type { Process } from "./processes.ts";

/** Whether a component does its work; false when it is not there at all. */
export async function isHealthy(instance: Instance, node: Process, { health }: Component): Promise<boolean> {
  try {
    switch (health.kind) {
      case "listens":
        return await listensOnLoopback(node, health.port);
      case "socket":
        (await Deno.connect({ transport: "unix", path: health.path })).close();
        return true;
      case "answers":
        return await statusOf(instance, health.url) === 200;
    }
  } catch {
    return false; // nobody there: whoever asks wants to know no more
  }
}

/** Looks in the node's own table of sockets, since its loopback cannot be reached from here. */
async function listensOnLoopback({ pid }: Process, port: number): Promise<boolean> {
  const address = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const table = await Deno.readTextFile(`/proc/${pid}/net/tcp`);
  return table.split("\n").some((line) => {
    const [, local, , state] = line.trim().split(/\s+/);
    return local === address && state === "0A";
  });
}

/** Status of a GET. Over `node:http(s)`, which, unlike `fetch`, never asks a proxy that the environment names. */
async function statusOf(instance: Instance, url: string): Promise<number | undefined> {
  const read = (file: string) => Deno.readTextFile(`${instance.state}/pki/${file}`);
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
  const request = url.startsWith("https:")
    ? requestTls(url, {
      ca: await read("ca.crt"),
      cert: await read("admin.crt"),
      key: await read("admin.key"),
      agent: false,
    })
    : requestPlain(url, { agent: false });
  request.setTimeout(2000, () => request.destroy(new Error("No answer within 2 s")));
  request.on("error", reject);
  request.on("response", (response) => {
    response.on("error", reject);
    response.on("end", () => resolve(response.statusCode));
    response.resume();
  });
  request.end();
  return await promise;
}
