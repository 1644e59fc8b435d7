import { Refusal } from "./refusal.ts";

/** What goes on in a cluster by itself. Disposing it waits for the end of all. */
export interface Tasks extends AsyncDisposable {
  /** Starts a task, a moment later. That what it wanted to change is gone is no error of it. */
  start(task: () => void | Promise<void>): void;
  /** Waits until nothing goes on, with all that follows from what does. */
  rest(): Promise<void>;
}

/** No tasks yet. */
export function makeTasks(): Tasks {
  const running = new Set<Promise<void>>();
  const rest = async () => {
    while (running.size > 0) await Promise.all(running);
  };
  return {
    rest,
    start(task) {
      const ended: Promise<void> = Promise.resolve().then(task).catch(ignoreRefusal).finally(() => {
        running.delete(ended);
      });
      running.add(ended);
    },
    [Symbol.asyncDispose]: rest,
  };
}

function ignoreRefusal(error: unknown): void {
  if (!(error instanceof Refusal)) throw error;
}
