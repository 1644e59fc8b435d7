/** Says in one line what is being done. */
export type Tell = (line: string) => void;

/** Lines on standard error: `cluster:  12.3 s  text`, the time since the program began. */
export function makeTell(): Tell {
  const start = performance.now();
  const encoder = new TextEncoder();
  return (line) => {
    const seconds = ((performance.now() - start) / 1000).toFixed(1).padStart(5);
    Deno.stderr.writeSync(encoder.encode(`cluster: ${seconds} s  ${line}\n`));
  };
}

/** Runs `work`, and says every 30 seconds that it still does. */
export async function withHeartbeat<T>(what: string, tell: Tell, work: () => Promise<T>): Promise<T> {
  const start = performance.now();
  const timer = setInterval(() => {
    tell(`  still at it: ${what}, ${Math.round((performance.now() - start) / 1000)} s so far`);
  }, 30_000);
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}
