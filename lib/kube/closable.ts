/**
 * The items of a generator, where closing the iterator ends a wait for the next item as well: a generator alone takes
 * its `return` only between two items, and a watch may wait for hours.
 *
 * @param open makes the generator, which must end when the signal that it is given aborts
 */
export function closable<T>(
  open: (signal: AbortSignal) => AsyncGenerator<T, void, void>,
  signal: AbortSignal | undefined,
): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]() {
      const closing = new AbortController();
      const items = open(signal ? AbortSignal.any([signal, closing.signal]) : closing.signal);
      const end: IteratorReturnResult<void> = { done: true, value: undefined };
      return {
        async next() {
          try {
            return await items.next();
          } catch (error) {
            if (closing.signal.aborted) return end;
            throw error;
          }
        },
        async return() {
          closing.abort();
          await items.return().catch(() => {}); // it may end with the abort that it was just given
          return end;
        },
      };
    },
  };
}
