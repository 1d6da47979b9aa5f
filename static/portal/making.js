// "Make it a secret": a credential in the text becomes a secret, and its name stands there instead.
//
// The value goes to the server as the rest of the text does, in a request's body; it is not copied
// into a field, an address or storage.
import { element } from "./checking.js";
import { why } from "./inserting.js";
import { post } from "./server.js";

/** @typedef {import("../vendor/codemirror/codemirror.js").EditorView} EditorView */
/** @typedef {import("./checking.js").Problem} Problem */

const NAMED_BY = 2; // steps of the key

/**
 * A name for the secret at a JSON Pointer: the last steps of its key, of signs that names may have.
 * @param {string} pointer
 * @param {string[]} taken
 */
export function proposeName(pointer, taken) {
  const steps = pointer.split("/").slice(1).map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
  const words = steps.filter((step) => !/^\d+$/.test(step)).slice(-NAMED_BY);
  const name = words.join("-").replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, "").slice(0, 100) || "secret";
  const isTaken = (/** @type {string} */ each) => taken.some((other) => other.toLowerCase() === each.toLowerCase());
  let number = 1;
  while (isTaken(number === 1 ? name : `${name}-${number}`)) number += 1;
  return number === 1 ? name : `${name}-${number}`;
}

/**
 * Put `after` in place of the text, but only what differs, so that the cursor stays.
 * @param {EditorView} view
 * @param {string} after
 */
export function replaceWith(view, after) {
  const before = view.state.doc.toString();
  const shorter = Math.min(before.length, after.length);
  let from = 0;
  while (from < shorter && before[from] === after[from]) from += 1;
  let end = 0;
  while (end < shorter - from && before[before.length - 1 - end] === after[after.length - 1 - end]) end += 1;
  view.dispatch({ changes: { from, to: before.length - end, insert: after.slice(from, after.length - end) }, scrollIntoView: true });
}

/**
 * @param {object} options
 * @param {EditorView} options.view
 * @param {() => string} options.format
 * @param {import("./inserting.js").Known[]} options.known
 * @param {string} options.url
 * @param {() => void} options.made the text has been replaced: keep it
 * @param {() => void} options.check
 */
export function openMaking({ view, format, known, url, made, check }) {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("make-dialog"));
  const form = /** @type {HTMLFormElement} */ (document.getElementById("make-form"));
  const name = /** @type {HTMLInputElement} */ (form.elements.namedItem("name"));
  const make = /** @type {HTMLButtonElement} */ (document.getElementById("make-button"));
  const status = /** @type {HTMLElement} */ (document.getElementById("make-status"));
  let pointer = "";
  /** @type {(() => void) | undefined} */
  let afterwards;

  /**
   * @param {Problem} problem
   * @param {() => void} [then] once it is done
   */
  function open(problem, then) {
    pointer = problem.pointer ?? "";
    afterwards = then;
    status.textContent = "";
    const key = document.getElementById("make-key");
    if (key) key.textContent = pointer;
    name.value = proposeName(pointer, known.filter((each) => !each.inherited).map((each) => each.name));
    dialog.showModal();
    name.select();
  }

  async function create() {
    if (make.disabled) return;
    const before = view.state.doc.toString();
    const data = new FormData(form);
    data.set("content", before);
    data.set("format", format());
    data.set("pointer", pointer);
    make.disabled = true;
    status.textContent = "Making it…";
    const answer = await post(form, url, data);
    make.disabled = false;
    if (answer.outcome !== "ok") {
      status.textContent = why(answer);
      return;
    }
    known.push({ name: answer.data.name, place: answer.data.place, inherited: false });
    if (view.state.doc.toString() !== before) {
      status.textContent = "The secret is made, and the text has changed meanwhile: put its name in by Insert secret.";
      return;
    }
    replaceWith(view, answer.data.content);
    made();
    dialog.close();
    check();
    if (answer.data.still) announceRest();
    afterwards?.();
  }

  function announceRest() {
    const news = document.getElementById("saved");
    if (news) news.textContent = "The same value stands elsewhere in the text too.";
  }

  /**
   * What makes a problem go, or nothing for problems of other kinds.
   * @param {Problem} problem
   * @param {() => void} [then]
   */
  function button(problem, then) {
    if (problem.code !== "credential" || !problem.pointer) return null;
    const found = /** @type {HTMLButtonElement} */ (element("button", "p-button p-mend", "Make it a secret"));
    found.type = "button";
    found.addEventListener("click", () => open(problem, then));
    return found;
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    create();
  });
  document.getElementById("make-cancel")?.addEventListener("click", () => dialog.close());
  return { button };
}

/** @typedef {ReturnType<typeof openMaking>} Making */
