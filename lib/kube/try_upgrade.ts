import { UserError } from "@/util/mod.ts";
import type { Api } from "./api.ts";
import { pathOf } from "./resource.ts";
import { pods } from "./objects.ts";
import { KubeError } from "./status.ts";
import { acceptKey } from "./websocket.ts";

/** A server that does not hear of the upgrade begins an ordinary watch, which is to end by itself soon. */
const WATCH_SECONDS = "1";

/**
 * Asks for a WebSocket and gives it up: a watch of pods, which every server offers by WebSocket as well and which needs
 * no pod to be there. What lets this through lets port-forwards through.
 *
 * @throws {UserError} when the connection stays what it was, with what answered; {KubeError} when it may not be asked for
 */
export async function tryUpgrade(api: Api, namespace: string, signal: AbortSignal | undefined): Promise<void> {
  const key = crypto.getRandomValues(new Uint8Array(16)).toBase64();
  const action = "open a WebSocket to the API server";
  const refused = (why: string, cause?: unknown) => new UserError(`Cannot ${action}: ${why}`, { cause });
  let headers: Headers;
  try {
    const upgraded = await api.upgrade({
      method: "GET",
      path: pathOf(pods, namespace),
      query: [["watch", "true"], ["timeoutSeconds", WATCH_SECONDS]],
      headers: [
        ["Connection", "Upgrade"],
        ["Upgrade", "websocket"],
        ["Sec-WebSocket-Version", "13"],
        ["Sec-WebSocket-Key", key],
        ["Origin", "https://localhost"], // the server insists on one, whichever it is
      ],
      action,
      access: { verbs: ["watch"], group: "", resource: "pods", namespace },
    }, signal);
    upgraded.duplex.close();
    headers = upgraded.headers;
  } catch (error) {
    if (error instanceof KubeError && error.status === 200) {
      throw refused("it was answered as if nobody had asked: the upgrade was lost on its way", error);
    }
    if (error instanceof KubeError && error.status !== 403) {
      throw refused(`${error.words} (HTTP ${error.status})`, error);
    }
    throw error;
  }
  if (headers.get("sec-websocket-accept") !== await acceptKey(key)) {
    throw refused("who answered does not speak WebSocket (wrong Sec-WebSocket-Accept)");
  }
}
