/**
 * The environment of the user's process, made of the host's and the pod's, and the files that tell of it.
 *
 * @module
 */
export {
  childEnvironment,
  type EnvironmentChanges,
  type Environments,
  writtenEnvironment,
} from "./child_environment.ts";
export {
  type EnvironmentFiles,
  formatEnvironmentFile,
  formatEnvironmentJson,
  writeEnvironmentFiles,
} from "./environment_files.ts";
export {
  imageVariables,
  KEPT_PREFIX,
  type PodVariables,
  podVariables,
  SOURCE_MARK,
  type TemplateEnvironment,
} from "./pod_variables.ts";
export { tooLarge } from "./too_large.ts";
