/** A kind of test that is skipped, by name, where something lacks. */
export function needing<Words extends unknown[]>(
  lacks: string | undefined,
  test: (name: string, ...words: Words) => void,
): (name: string, ...words: Words) => void {
  if (lacks === undefined) return test;
  return (name, ..._words) => Deno.test({ name: `${name} (skipped: ${lacks})`, ignore: true, fn() {} });
}
