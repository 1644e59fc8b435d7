/**
 * A delay line of bytes: `deno run -A delay_line.ts TARGET_HOST TARGET_PORT ONE_WAY_MS` listens on loopback, prints its
 * port, and passes on what comes, later. It has no limit of its own on what is under way but memory, so it hides what
 * TCP does on a long path: carriers and windows are not judged by it alone.
 *
 * @module
 */
import { writeAll } from "@/util/mod.ts";

const [host = "", port = "", oneWay = ""] = Deno.args;
const delayMs = Number(oneWay);
/** What one direction may have under way: a path with this much in it is full. */
const MAX_UNDER_WAY_BYTES = 64 * 1024 * 1024;

const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
await writeAll({ write: (bytes) => Deno.stdout.write(bytes) }, new TextEncoder().encode(`${listener.addr.port}\n`));
for await (const near of listener) {
  const far = await Deno.connect({ hostname: host, port: Number(port) });
  for (const conn of [near, far]) conn.setNoDelay(true);
  const both = [carry(near, far), carry(far, near)];
  Promise.all(both).catch(() => {}).finally(() => [near, far].forEach(closeOnce));
}

async function carry(from: Deno.TcpConn, to: Deno.TcpConn): Promise<void> {
  const queue: { bytes: Uint8Array; dueMs: number }[] = [];
  let underWay = 0;
  let ended = false;
  let wake = Promise.withResolvers<void>();
  const change = () => {
    wake.resolve();
    wake = Promise.withResolvers();
  };
  const reading = (async () => {
    for (;;) {
      while (underWay > MAX_UNDER_WAY_BYTES) await wake.promise;
      const buffer = new Uint8Array(256 * 1024);
      const count = await from.read(buffer);
      if (count === null) break;
      queue.push({ bytes: buffer.subarray(0, count), dueMs: performance.now() + delayMs });
      underWay += count;
      change();
    }
    ended = true;
    change();
  })();
  const writing = (async () => {
    for (;;) {
      const next = queue.shift();
      if (next === undefined) {
        if (ended) break;
        await wake.promise;
        continue;
      }
      const left = next.dueMs - performance.now();
      if (left > 0) await new Promise((resolve) => setTimeout(resolve, left));
      await writeAll(to, next.bytes);
      underWay -= next.bytes.length;
      change();
    }
    await to.closeWrite();
  })();
  await Promise.all([reading, writing]);
}

function closeOnce(conn: Deno.TcpConn): void {
  try {
    conn.close();
  } catch {
    // It was closed by its peer's end.
  }
}
