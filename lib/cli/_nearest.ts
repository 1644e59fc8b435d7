/** The word of `known` that `word` was probably meant to be: at most a third of its letters are other ones. */
export function nearest<T extends string>(word: string, known: readonly T[]): T | undefined {
  const [best] = known
    .map((candidate) => ({ candidate, away: distance(word, candidate) }))
    .filter(({ candidate, away }) => away <= Math.max(1, Math.floor(candidate.length / 3)))
    .sort((a, b) => a.away - b.away);
  return best?.candidate;
}

/** How many letters are to be put in, left out, changed or swapped with their neighbor to get from `a` to `b`. */
export function distance(a: string, b: string): number {
  // Rows of the usual table (optimal string alignment): `row` for the letters of `a` so far, and the two above it.
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      const steps = [at(above, j) + 1, at(row, j - 1) + 1, at(above, j - 1) + (same ? 0 : 1)];
      if (a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) steps.push(at(before, j - 2) + 1);
      row.push(Math.min(...steps));
    }
    [before, above] = [above, row];
  }
  return at(above, b.length);
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Infinity;
}
