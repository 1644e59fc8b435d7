/** Of glibc's malloc.h, for mallopt(3). */
const M_MMAP_THRESHOLD = -3;
const M_ARENA_MAX = -8;
/** From this size on a buffer goes back to the system when it is freed. */
const MAPPED_BYTES = 64 * 1024;
/** More heaps than threads that allocate much keep more that nobody uses. */
const MOST_HEAPS = 2;

/**
 * The same as {@linkcode keepHeapSmall} by variables of the environment, for a process that is not started yet and may
 * not call foreign functions.
 */
export const SMALL_HEAP_VARIABLES: Readonly<Record<string, string>> = {
  MALLOC_MMAP_THRESHOLD_: String(MAPPED_BYTES),
  MALLOC_ARENA_MAX: String(MOST_HEAPS),
};

/**
 * Lets the C library give large buffers back to the system when they are freed. By itself glibc learns from the first
 * one that is freed to keep such buffers in its heap, which never shrinks below what lives at its end: 50 MB after some
 * bulk (measured). Where there is no glibc, or foreign functions are not allowed, nothing happens.
 *
 * @returns whether it is so now
 */
export async function keepHeapSmall(): Promise<boolean> {
  const { state } = await Deno.permissions.query({ name: "ffi" });
  if (Deno.build.os !== "linux" || state !== "granted") return false; // asking would stop at a prompt
  try {
    const { symbols, close } = openLibrary();
    const done = symbols.mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES) + symbols.mallopt(M_ARENA_MAX, MOST_HEAPS);
    close();
    return done === 2; // each says 1 for yes
  } catch {
    return false; // another C library
  }
}

function openLibrary() {
  const library = Deno.dlopen("libc.so.6", { mallopt: { parameters: ["i32", "i32"], result: "i32" } });
  return { symbols: library.symbols, close: () => library.close() };
}

/** MiB of each half of where the engine puts what is new. */
const YOUNG_MIB = 2;

/**
 * Lets the engine keep its space for new objects small. By itself it doubles it up to three times 16 MiB while many
 * connections come at once, and never takes it back while they are open: 26 MB beside 500 of them (measured).
 */
export async function keepYoungSmall(): Promise<void> {
  const { default: v8 } = await import("node:v8");
  v8.setFlagsFromString(`--max-semi-space-size=${YOUNG_MIB}`);
}

let collect: (() => void) | undefined;
/** What was in use when garbage had been collected last, by us. */
let leftBytes = 0;
/** So much more in use than then is worth the 10 ms. */
const MUCH_BYTES = 4 * 1024 * 1024;

/**
 * Collects garbage now. The engine collects when it needs room, so after some bulk, or beside some hundred connections,
 * tens of megabytes that nobody uses stay until then. It takes some 10 ms: for when nothing else is going on.
 */
export async function collectGarbage(): Promise<void> {
  if (collect === undefined) {
    const [{ default: v8 }, { default: vm }] = await Promise.all([import("node:v8"), import("node:vm")]);
    v8.setFlagsFromString("--expose-gc");
    collect = vm.runInNewContext("gc") as () => void;
  }
  collect();
  leftBytes = inUse();
}

/**
 * As {@linkcode collectGarbage}, if there can be much: what is in use is so much more than after the last time.
 *
 * @returns whether it was
 */
export async function collectMuchGarbage(): Promise<boolean> {
  const isMuch = inUse() - leftBytes >= MUCH_BYTES;
  if (isMuch) await collectGarbage();
  return isMuch;
}

function inUse(): number {
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}
