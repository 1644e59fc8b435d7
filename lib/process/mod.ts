/**
 * The only runner of external programs, so that each one this program starts can be found here.
 *
 * Invariant: no shell; the words of a command arrive as they are given.
 *
 * @module
 */
export { type Finished, requireProgram, type RunOptions, runProgram } from "./run.ts";
export { type Filter, type FilterOptions, startFilter } from "./filter.ts";
export { type Child, type ChildExit, type ChildOptions, startChild } from "./child.ts";
export { type Helper, startHelper } from "./helper.ts";
export { type Launcher, placeLauncher, type PlaceOptions } from "./launcher.ts";
export { builtFor } from "./built_for.ts";
export { notRunnable } from "./not_runnable.ts";
export { type Attached, startAttached } from "./attached.ts";
export { type Delivery, selfCommand } from "./self.ts";
