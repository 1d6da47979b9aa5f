// Validation by the server while one types: marks at the lines, a list, and a summary.
import { cm } from "./code.js";
import { say } from "./draft.js";
import { backOff, post } from "./server.js";

const CHECK_AFTER = 400;
const FIRST_RETRY = 4_000;
const LAST_RETRY = 60_000;
const MOST_LISTED = 50;

/** @typedef {{pointer?: string, code?: string, message: string, line?: number, column?: number, service?: string, environment?: string}} Problem */
/** @typedef {{key: string, pointer: string, kind: "added" | "removed" | "changed" | "renamed" | "moved", old?: unknown, new?: unknown, from?: number, to?: number, item?: Record<string, string | number>}} Change */
/** @typedef {{valid: boolean, errors: Problem[], warnings: Problem[], changes: Change[], affected?: Affected[]}} Report */
/** @typedef {{service?: string, environment?: string, changes?: Change[], outdated?: string, hidden?: number}} Affected */
/** @typedef {import("../vendor/codemirror/codemirror.js").EditorView} EditorView */

/**
 * @param {object} options
 * @param {HTMLFormElement} options.form
 * @param {string} options.url
 * @param {string} options.service
 * @param {string} options.environment
 * @param {boolean} options.isFirst nothing is live yet
 * @param {EditorView} options.view
 * @param {() => {content: string, format: string, extends: object[]}} options.read
 * @param {HTMLElement} options.list
 * @param {HTMLElement} options.summary
 * @param {import("./making.js").Making | null} options.making
 */
export function openChecking({ form, url, service, environment, isFirst, view, read, list, summary, making }) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let asking = new AbortController();
  let tries = 0; // in a row without a verdict

  list.setAttribute("aria-label", "Problems");

  /** Check soon, once typing pauses. */
  function touch() {
    clearTimeout(timer);
    timer = setTimeout(check, CHECK_AFTER);
  }

  /**
   * Check now, and show what is found. `null` when there is no verdict: that is said, and tried again.
   * @returns {Promise<Report | null>}
   */
  async function check() {
    clearTimeout(timer);
    asking.abort();
    asking = new AbortController();
    const answer = await post(form, url, { service, environment, ...read() }, asking.signal);
    if (answer.outcome === "aborted") return null;
    if (answer.outcome === "ok" || answer.outcome === "refused") {
      tries = 0;
      return show(answer.outcome === "ok" ? answer.data : asReport(answer.data));
    }
    timer = setTimeout(check, backOff(tries++, FIRST_RETRY, LAST_RETRY));
    say(summary, answer.outcome === "logged-out" ? "Not checked: you are logged out" : "Not checked: the server does not answer", "bad");
    return null;
  }

  /**
   * @param {Report} report
   * @returns {Report}
   */
  function show(report) {
    const errors = inOrder(report.errors);
    const warnings = inOrder(report.warnings);
    const here = (/** @type {Problem} */ each) => !isElsewhere(each, service, environment);
    const marks = [...errors.filter(here).map((each) => mark(each, "error")), ...warnings.map((each) => mark(each, "warning"))];
    view.dispatch(cm.setDiagnostics(view.state, marks.sort((a, b) => a.from - b.from)));
    const items = [...errors.map((each) => item(each, "error")), ...warnings.map((each) => item(each, "warning"))];
    const rest = items.length - MOST_LISTED;
    list.replaceChildren(...items.slice(0, MOST_LISTED));
    if (rest > 0) list.append(element("li", "muted", `and ${rest} more`));
    say(summary, summarize({ ...report, errors }, isFirst), errors.length ? "bad" : "");
    return { ...report, errors, warnings };
  }

  /**
   * @param {Problem} problem
   * @param {"error" | "warning"} severity
   */
  function mark(problem, severity) {
    return { ...range(view, problem), severity, message: problem.message, source: problem.pointer || undefined };
  }

  /**
   * @param {Problem} problem
   * @param {"error" | "warning"} severity
   */
  function item(problem, severity) {
    const button = /** @type {HTMLButtonElement} */ (element("button", severity, ""));
    button.type = "button";
    const elsewhere = isElsewhere(problem, service, environment);
    const where = problem.service && elsewhere ? `In ${problem.service}, ${problem.environment}` : problem.line ? `Line ${problem.line}` : "";
    if (where) button.append(element("b", "", where), " ");
    if (problem.pointer) button.append(element("code", "", problem.pointer), " ");
    button.append(problem.message);
    if (!elsewhere) button.addEventListener("click", () => goTo(view, problem));
    const entry = element("li", "", "");
    entry.append(button);
    const fix = elsewhere ? null : making?.button(problem);
    if (fix) entry.append(fix);
    return entry;
  }

  const retry = () => {
    if (tries) check();
  };
  addEventListener("online", retry);
  addEventListener("focus", retry);
  return { touch, check };
}

/** @typedef {ReturnType<typeof openChecking>} Checking */

/**
 * Whether a problem is of a configuration that follows from this one.
 * @param {Problem} problem
 * @param {string} service
 * @param {string} environment
 */
export function isElsewhere(problem, service, environment) {
  if (problem.code === "dependents") return true;
  return Boolean(problem.service) && (problem.service !== service || problem.environment !== environment);
}

/** @param {Problem[]} [problems] */
function inOrder(problems = []) {
  return [...problems].sort((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0));
}

/**
 * A refusal of the request itself (a limit, a format) in the shape of a report.
 * @param {any} data
 * @returns {Report}
 */
function asReport(data) {
  const errors = data.errors?.length ? data.errors : [{ message: data.detail ?? "It could not be checked." }];
  return { valid: false, errors, warnings: [], changes: [] };
}

/**
 * @param {Report} report
 * @param {boolean} isFirst
 */
export function summarize(report, isFirst) {
  const errors = report.errors.length;
  if (errors) return plural(errors, "problem");
  const changes = report.changes.length;
  if (isFirst) return `Valid · nothing is live yet, ${plural(changes, "key")} would be`;
  return changes ? `Valid · ${plural(changes, "change")} against live` : "Valid · no changes against live";
}

/**
 * @param {number} count
 * @param {string} noun
 */
export function plural(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/**
 * Where a problem is in the text. Lines and columns count from 1, columns in characters; a
 * problem without a line is at the beginning.
 * @param {EditorView} view
 * @param {Problem} problem
 */
function range(view, problem) {
  if (!problem.line || problem.line > view.state.doc.lines) return { from: 0, to: 0 };
  const line = view.state.doc.line(problem.line);
  const before = [...line.text].slice(0, Math.max(0, (problem.column ?? 1) - 1)).join("").length;
  const from = line.from + before;
  const comment = line.text.slice(before).search(/\s+(#.*)?$/);
  const end = comment > 0 ? line.from + before + comment : line.to;
  return from < end ? { from, to: end } : { from: line.from, to: line.to };
}

/**
 * @param {EditorView} view
 * @param {Problem} problem
 */
function goTo(view, problem) {
  view.dispatch({ selection: { anchor: range(view, problem).from }, scrollIntoView: true });
  view.focus();
}

/**
 * @param {string} name
 * @param {string} className
 * @param {string} text
 */
export function element(name, className, text) {
  return Object.assign(document.createElement(name), { className, textContent: text });
}
