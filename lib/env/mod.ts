/**
 * The environment of the user's process, made of the host's and the pod's.
 *
 * @module
 */
export { childEnvironment, type Environments, KEPT_PREFIX } from "./child_environment.ts";
