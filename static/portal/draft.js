// The draft: saved to the server while one types, one request at a time, and kept in this
// browser until the server has it.
import { backOff, post } from "./server.js";

const SAVE_AFTER = 800;
const FIRST_RETRY = 4_000;
const LAST_RETRY = 60_000;

/**
 * @param {object} options
 * @param {HTMLFormElement} options.form everything in it is the draft
 * @param {string} options.url
 * @param {string} options.loginUrl
 * @param {import("./kept.js").Kept} options.kept
 * @param {() => import("./kept.js").Entry} options.read
 * @param {HTMLElement} options.status where "Saved" and its like are said
 * @param {() => void} options.onSaved
 */
export function openDraft({ form, url, loginUrl, kept, read, status, onSaved }) {
  let typed = 0; // counts edits
  let saved = 0; // the count that the server has
  let isKept = true;
  let isSaving = false;
  let tries = 0;
  let isClosed = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  /** @param {number} delay */
  function later(delay) {
    clearTimeout(timer);
    timer = setTimeout(save, delay);
  }

  /** Something was edited: keep it here at once, and save it soon. */
  function touch() {
    typed += 1;
    isKept = kept.keep(read());
    if (isClosed) return;
    say(status, "Saving…", "busy");
    later(SAVE_AFTER);
  }

  /** Save now; while a request is under way, right after it. */
  async function save() {
    clearTimeout(timer);
    if (isSaving || isClosed) return;
    isSaving = true;
    const sending = typed;
    say(status, "Saving…", "busy");
    const answer = await post(form, url, new FormData(form));
    isSaving = false;
    if (isClosed) return;
    if (answer.outcome === "ok") {
      /** @type {HTMLInputElement} */ (form.elements.namedItem("known")).value = answer.data.known;
      succeeded(sending);
    } else {
      failed(answer);
    }
  }

  /** @param {number} sent */
  function succeeded(sent) {
    saved = sent;
    tries = 0;
    if (typed !== sent) {
      later(0);
      return;
    }
    kept.drop();
    say(status, "Saved", "good");
    onSaved();
  }

  /** @param {import("./server.js").Answer} answer */
  function failed(answer) {
    isKept = kept.keep(read());
    const here = isKept ? "kept in this browser" : "and this browser cannot keep it: copy it";
    if (answer.outcome === "logged-out") {
      say(status, `You are logged out. Your text is ${here}.`, "bad");
      status.append(" ", loginLink(loginUrl));
    } else if (answer.outcome === "refused") {
      say(status, `Not saved — ${here}. ${answer.data.detail ?? ""}`, "bad");
    } else {
      say(status, `Not saved — ${here}`, "bad");
    }
    later(backOff(tries++, FIRST_RETRY, LAST_RETRY));
  }

  const retry = () => {
    if (typed !== saved) save();
  };
  addEventListener("online", retry);
  addEventListener("focus", retry);
  document.addEventListener("visibilitychange", retry);

  return {
    touch,
    save,
    /** Whether closing the page now loses nothing. */
    isSafe: () => typed === saved || isKept,
    /** Whether the server has everything that was typed. */
    isSaved: () => typed === saved,
    /** Keep the text here and stop saving: the page is on its way out. */
    close() {
      isClosed = true;
      clearTimeout(timer);
      isKept = kept.keep(read());
    },
    /** The page stays after all. */
    reopen() {
      isClosed = false;
    },
  };
}

/** @typedef {ReturnType<typeof openDraft>} DraftSaver */

/**
 * Say `words` in a live region, once.
 * @param {HTMLElement} element
 * @param {string} words
 * @param {"" | "busy" | "good" | "bad"} [state]
 */
export function say(element, words, state = "") {
  if (element.textContent !== words) element.textContent = words;
  element.dataset.state = state;
}

/** @param {string} url */
function loginLink(url) {
  const link = document.createElement("a");
  link.href = url;
  link.target = "_blank";
  link.className = "link";
  link.textContent = "Log in in a new tab";
  return link;
}
