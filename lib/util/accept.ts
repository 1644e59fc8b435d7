import { sleep } from "./life.ts";

/** How long to wait when no connection can be accepted: descriptors may be free again then. */
const PAUSE_MS = 20;

/** What is accepted from: a listener of Deno, as far as it is used here. */
export interface Acceptor<T> {
  /** The next connection. */
  accept(): Promise<T>;
}

/**
 * Accepts until the listener is closed. A connection that cannot be accepted (its peer has reset it meanwhile, there is
 * no descriptor left) is not the end of the others, as it would be in a `for await` over the listener.
 *
 * @param onFailure hears of each connection that could not be accepted
 */
export async function acceptAll<T>(
  listener: Acceptor<T>,
  serve: (conn: T) => void,
  onFailure: (error: unknown) => void = () => {},
): Promise<void> {
  for (;;) {
    let conn: T;
    try {
      conn = await listener.accept();
    } catch (error) {
      if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) return;
      onFailure(error);
      if (!(error instanceof Deno.errors.NotConnected)) await sleep(PAUSE_MS);
      continue;
    }
    serve(conn);
  }
}
