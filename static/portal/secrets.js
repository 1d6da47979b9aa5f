// The pages of secrets: shows a value that was asked for, and takes it away again.
//
// The value is held in the page's text alone, for `SHOWN_FOR` and while the page is looked at: not
// in a form field (browsers restore these), not in storage, not in an address.
import { post } from "./server.js";

const SHOWN_FOR = 30_000;

/** @type {(id: string) => HTMLElement} */
const $ = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
let endsAt = 0;
/** @type {number | undefined} */
let ticking;
/** @type {AbortController | undefined} */
let asking;

/** @param {string} words */
function complain(words) {
  $("reveal-problem").textContent = words;
  $("reveal-problem").hidden = !words;
}

function hide() {
  asking?.abort();
  window.clearInterval(ticking);
  $("revealed-value").textContent = "";
  $("revealed").hidden = true;
  if (getSelection()?.anchorNode === $("revealed-value")) getSelection()?.removeAllRanges();
}

function tick() {
  const left = Math.ceil((endsAt - Date.now()) / 1000);
  if (left <= 0) hide();
  else $("revealed-left").textContent = `hidden again in ${left} s`;
}

/**
 * @param {string} text
 * @param {number} version
 */
function show(text, version) {
  $("revealed-value").textContent = text;
  $("revealed-title").textContent = `Version ${version}`;
  $("revealed-copy").textContent = "Copy";
  $("revealed").hidden = false;
  endsAt = Date.now() + SHOWN_FOR;
  tick();
  ticking = window.setInterval(tick, 500);
  $("revealed").scrollIntoView({ block: "nearest" });
}

/** @param {string} version */
async function reveal(version) {
  hide();
  complain("");
  asking = new AbortController();
  const signal = asking.signal;
  const form = /** @type {HTMLFormElement} */ ($("reveal-form"));
  const data = new FormData();
  data.set("version", version);
  const answer = await post(form, form.dataset.url ?? "", data, signal);
  if (signal.aborted || answer.outcome === "aborted") return;
  if (answer.outcome === "ok") show(answer.data.text, answer.data.version);
  else if (answer.outcome === "refused") complain(answer.data.detail);
  else complain(answer.outcome === "logged-out" ? "You are logged out: log in again, then reveal it." : "The server does not answer. Try again.");
}

async function copy() {
  const value = $("revealed-value");
  try {
    await navigator.clipboard.writeText(value.textContent ?? "");
    $("revealed-copy").textContent = "Copied";
  } catch {
    getSelection()?.selectAllChildren(value); // without HTTPS there is no clipboard: Ctrl+C copies
    $("revealed-copy").textContent = "Marked: Ctrl+C copies";
  }
}

/** What was typed as a value does not wait in the browser for whoever comes back to the page. */
function forgetTyped() {
  for (const field of /** @type {NodeListOf<HTMLTextAreaElement>} */ (document.querySelectorAll("[data-secret-value]"))) field.value = "";
}

if (document.getElementById("revealed")) {
  for (const button of /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll("[data-reveal]"))) {
    button.addEventListener("click", () => reveal(button.dataset.reveal ?? ""));
  }
  $("revealed-hide").addEventListener("click", hide);
  $("revealed-copy").addEventListener("click", copy);
  document.addEventListener("visibilitychange", () => document.hidden && hide());
  window.addEventListener("pagehide", hide);
}
window.addEventListener("pagehide", forgetTyped);
