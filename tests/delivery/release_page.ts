import { makeDist } from "../../tools/delivery/dist.ts";
import type { StageOptions } from "../../tools/delivery/stage.ts";
import { nativeTarget } from "../../tools/delivery/targets.ts";
import { RELEASES, VERSION } from "../../version.ts";

/** A web server on loopback that plays the release page. */
export interface ReleasePage extends AsyncDisposable {
  /** What `RELEASES` is to be here. */
  readonly url: string;
  /** The directory with what is published. */
  readonly directory: string;
  /** The paths that were asked for so far. */
  readonly asked: readonly string[];
}

/** Makes what is published for this machine, quickly packed, and publishes it. @param options of what is made */
export async function openReleasePage(options: StageOptions = {}): Promise<ReleasePage> {
  await using stack = new AsyncDisposableStack();
  const directory = await Deno.makeTempDir({ prefix: "telepresence-test-" });
  stack.defer(() => Deno.remove(directory, { recursive: true }));
  const target = nativeTarget();
  if (target === undefined) throw new Error(`There is no target for ${Deno.build.target}`);
  await makeDist(`${directory}/published`, { targets: [target], level: 3, ...options });
  const asked: string[] = [];
  const server = stack.use(Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const { pathname } = new URL(request.url);
    asked.push(pathname);
    const [, name] = new RegExp(`^/(?:download/v${VERSION}|latest/download)/([^/]+)$`).exec(pathname) ?? [];
    const file = name && await Deno.open(`${directory}/published/${name}`).catch(() => undefined);
    if (!name || !file) return new Response("no such file", { status: 404 });
    const type = name.endsWith(".js") ? "text/javascript" : "application/octet-stream";
    return new Response(file.readable, { headers: { "content-type": type } });
  }));
  const url = `http://127.0.0.1:${server.addr.port}`;
  const owned = stack.move();
  return { url, directory: `${directory}/published`, asked, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** A text of what is published, as it is when the page is here. */
export async function publishedHere({ url, directory }: ReleasePage, name: string): Promise<string> {
  return (await Deno.readTextFile(`${directory}/${name}`)).replaceAll(RELEASES, url);
}
