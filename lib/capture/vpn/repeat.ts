/**
 * Does something again and again, with a pause behind each time, until this is disposed of.
 *
 * @param onFailure hears of a time that failed; the next one comes all the same
 */
export function repeat(act: () => Promise<unknown>, pauseMs: number, onFailure: (error: unknown) => void): Disposable {
  let over = false;
  let timer: ReturnType<typeof setTimeout>;
  const next = () => {
    timer = setTimeout(async () => {
      await act().catch(onFailure);
      if (!over) next();
    }, pauseMs);
  };
  next();
  return {
    [Symbol.dispose]() {
      over = true;
      clearTimeout(timer);
    },
  };
}
