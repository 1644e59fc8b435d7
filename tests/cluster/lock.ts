import { type Instance, STATE_ROOT } from "./instance.ts";
import type { Tell } from "./tell.ts";

/**
 * Makes this process the only one that changes the instance, until the returned lock is disposed. The kernel gives
 * the lock up for a process that dies; the file it is on goes away with the lock, so that nothing stays behind.
 */
export async function acquireLock(instance: Instance, tell: Tell): Promise<AsyncDisposable> {
  const path = `${STATE_ROOT}/${instance.name}.lock`;
  for (let told = false;;) {
    const file = await openLockFile(path);
    if (file === undefined) continue;
    if (!await file.tryLock(true)) {
      if (!told) tell(`waiting for another run that works on cluster "${instance.name}"`);
      told = true;
      await file.lock(true);
    }
    if (await isAt(file, path)) return { [Symbol.asyncDispose]: () => release(file, path) };
    file.close(); // its last holder removed it while we waited
  }
}

async function openLockFile(path: string): Promise<Deno.FsFile | undefined> {
  await Deno.mkdir(STATE_ROOT, { recursive: true, mode: 0o700 });
  try {
    return await Deno.open(path, { create: true, write: true, mode: 0o600 });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined; // a `down` took the folder in between
    throw error;
  }
}

async function isAt(file: Deno.FsFile, path: string): Promise<boolean> {
  try {
    return (await file.stat()).ino === (await Deno.stat(path)).ino;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function release(file: Deno.FsFile, path: string): Promise<void> {
  await Deno.remove(path);
  file.close();
  try {
    await Deno.remove(STATE_ROOT);
  } catch {
    // Some cluster is up, or another run is under way.
  }
}
