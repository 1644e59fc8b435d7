/** The label that is on everything a session makes; its value is the session's id. */
export const SESSION_LABEL = "telepresence";
