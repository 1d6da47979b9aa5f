// Unsaved text in this browser's storage: it outlives a closed tab, a log-out and a dead network.

/**
 * What is kept: the text with everything that is needed to go on with it; `base` is the version that it is on.
 * @typedef {{text: string, format: string, message: string, extends: string[], at: number, base?: number}} Entry
 */

/**
 * The store of one person's text for one configuration. Every page load writes under a name of its
 * own, so two tabs do not overwrite each other, and typing does not overwrite an older text that
 * nobody has decided about yet.
 * @param {string} user
 * @param {string} service
 * @param {string} environment
 */
export function openKept(user, service, environment) {
  const prefix = `configsvc:${user}:${service}:${environment}:`;
  const own = `${prefix}${Date.now().toString(36)}${Math.random().toString(36).slice(2, 8)}`;
  return {
    /**
     * Keep `entry` in place of what this page kept before; false when the browser refuses.
     * @param {Entry} entry
     */
    keep(entry) {
      try {
        localStorage.setItem(own, JSON.stringify(entry));
        return true;
      } catch {
        return false; // a private window, or full
      }
    },
    /** Forget this page's entry: the server has it. */
    drop: () => forget(own),
    /**
     * What earlier pages or other tabs left, newest first.
     * @returns {{name: string, entry: Entry}[]}
     */
    others: () =>
      names(prefix)
        .filter((name) => name !== own)
        .map((name) => ({ name, entry: read(name) }))
        .filter((each) => each.entry !== null)
        .map((each) => ({ name: each.name, entry: /** @type {Entry} */ (each.entry) }))
        .sort((a, b) => b.entry.at - a.entry.at),
    forget,
  };
}

/** @typedef {ReturnType<typeof openKept>} Kept */

/** @param {string} prefix */
function names(prefix) {
  try {
    return Object.keys(localStorage).filter((name) => name.startsWith(prefix));
  } catch {
    return [];
  }
}

/**
 * @param {string} name
 * @returns {Entry | null}
 */
function read(name) {
  try {
    const entry = JSON.parse(localStorage.getItem(name) ?? "null");
    return typeof entry?.text === "string" ? entry : null;
  } catch {
    return null;
  }
}

/** @param {string} name */
function forget(name) {
  try {
    localStorage.removeItem(name);
  } catch {
    // then it was never kept
  }
}
