/**
 * Flags as flags: a switch, variants, rules and shares for each, and what a context gets of them.
 *
 * The text in the editor stays what is edited: a change is a JSON Patch of one flag, the server gives
 * back the changed text, and this page shows what the text says then. Values are JSON text
 * throughout, so that numbers keep their digits.
 *
 * The page holds <section id="flags"> with #flags-list, #flags-status, #flags-context (a textarea),
 * #flags-try (a button) and #flags-new (a form with a name and a select of sections).
 */
import { element } from "./checking.js";
import { cardOf } from "./flag-card.js";
import { why } from "./inserting.js";
import { replaceWith } from "./making.js";
import { backOff, post } from "./server.js";

/** @typedef {import("../vendor/codemirror/codemirror.js").EditorView} EditorView */
/** @typedef {{name: string, text: string}} Variant */
/** @typedef {{when: string, variant: string, shares: Record<string, number> | null, description: string}} Rule */
/** @typedef {{variant: string, value: string, reason: string, rule: number | null, error: string, counts: Record<string, number>, units: number}} Tried */
/**
 * @typedef {object} Flag
 * @property {string} key
 * @property {string} name
 * @property {boolean} own whether this text says something of it
 * @property {boolean} enabled
 * @property {boolean} broken
 * @property {string} description
 * @property {string} type
 * @property {string} kind
 * @property {boolean} pair without variants: on and off
 * @property {boolean} names whether its variants are names alone
 * @property {Variant[]} variants
 * @property {string} default
 * @property {string} off
 * @property {Rule[]} rules
 * @property {number | null} share
 * @property {string[]} countries
 * @property {string[]} needs prerequisites as JSON
 * @property {string} expires
 * @property {"" | "expired" | "everyone"} stale why it could be taken out
 * @property {string} seed
 */
/** @typedef {{key: string, flags: Flag[], more: number, segments: string[]}} Section */
/** @typedef {{op: "add" | "replace" | "remove", path: (string | number)[], value?: string}} Operation value: JSON text */

const AFTER_TYPING = 500;
const FIRST_AGAIN = 1_000;
const LAST_AGAIN = 30_000;

/**
 * @param {object} options
 * @param {HTMLFormElement} options.form
 * @param {EditorView} options.view
 * @param {() => string} options.format
 * @param {boolean} options.isReadOnly
 * @param {string} options.url POST content, format, extends; section, flag, patch; context
 */
export function openFlags({ form, view, format, isReadOnly, url }) {
  const panel = /** @type {HTMLDetailsElement} */ (document.getElementById("flags"));
  const list = /** @type {HTMLElement} */ (document.getElementById("flags-list"));
  const status = /** @type {HTMLElement} */ (document.getElementById("flags-status"));
  const context = /** @type {HTMLTextAreaElement} */ (document.getElementById("flags-context"));
  const tryButton = /** @type {HTMLButtonElement} */ (document.getElementById("flags-try"));
  const fresh = /** @type {HTMLElement | null} */ (document.getElementById("flags-new"));
  const open = new Set();
  let isTrying = false;
  let tries = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  /** @type {AbortController | undefined} */
  let asking;

  /** @param {Record<string, string>} more */
  function body(more = {}) {
    const data = new FormData();
    data.set("content", view.state.doc.toString());
    data.set("format", format());
    for (const box of /** @type {NodeListOf<HTMLInputElement>} */ (form.querySelectorAll('input[name="extends"]:checked'))) data.append("extends", box.value);
    if (isTrying) data.set("context", context.value);
    for (const [name, value] of Object.entries(more)) data.set(name, value);
    return data;
  }

  async function refresh() {
    if (!panel.open) return;
    asking?.abort();
    asking = new AbortController();
    const answer = await post(form, url, body(), asking.signal);
    if (answer.outcome === "aborted") return;
    if (answer.outcome !== "ok") {
      status.textContent = answer.outcome === "refused" ? `As the text stands it cannot be read: ${why(answer)}` : why(answer);
      list.classList.add("p-old");
      if (answer.outcome === "unreachable") {
        clearTimeout(timer);
        timer = setTimeout(refresh, backOff(tries, FIRST_AGAIN, LAST_AGAIN));
        tries += 1;
      }
      return;
    }
    tries = 0;
    status.textContent = "";
    show(answer.data.sections, answer.data.tried);
  }

  /**
   * @param {Section[]} sections
   * @param {Record<string, Tried> | undefined} tried
   */
  function show(sections, tried) {
    list.classList.remove("p-old");
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset?.place;
    list.replaceChildren(
      ...sections.flatMap((section) => [
        ...(sections.length > 1 ? [element("h3", "", section.key)] : []),
        ...staleOf(section),
        ...section.flags.map((flag) =>
          cardOf({
            flag,
            section,
            isReadOnly,
            tried: tried?.[flag.key],
            isOpen: open.has(flag.key),
            toggled: (is) => (is ? open.add(flag.key) : open.delete(flag.key)),
            change: (patch) => change(section.key, flag.name, patch),
          }),
        ),
        ...(section.more ? [element("p", "muted", `and ${section.more} more, in the text`)] : []),
        ...(section.flags.length ? [] : [element("p", "muted", "There are no flags yet.")]),
      ]),
    );
    if (focused) /** @type {HTMLElement | null} */ (list.querySelector(`[data-place="${CSS.escape(focused)}"]`))?.focus();
  }

  /**
   * @param {string} section
   * @param {string} flag
   * @param {Operation[] | null} patch `null` takes the flag out
   */
  async function change(section, flag, patch) {
    const before = view.state.doc.toString();
    list.inert = true;
    const answer = await post(form, url, body({ section, flag, patch: patch === null ? "null" : spelled(patch) }));
    list.inert = false;
    if (answer.outcome !== "ok") {
      status.textContent = why(answer);
      return false;
    }
    if (view.state.doc.toString() !== before) {
      status.textContent = "The text has changed meanwhile: try again.";
      refresh();
      return false;
    }
    status.textContent = "";
    clearTimeout(timer);
    replaceWith(view, answer.data.content);
    clearTimeout(timer); // what the text says now has come with it
    show(answer.data.sections, answer.data.tried);
    return true;
  }

  tryButton.addEventListener("click", () => {
    isTrying = true;
    refresh();
  });
  panel.addEventListener("toggle", refresh);
  fresh?.querySelector("button")?.addEventListener("click", add);
  fresh?.querySelector("input")?.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    add();
  });

  async function add() {
    const name = /** @type {HTMLInputElement} */ (fresh?.querySelector("input"));
    const section = /** @type {HTMLSelectElement} */ (fresh?.querySelector("select"));
    const wanted = name.value.trim();
    if (!wanted) return name.focus();
    open.add(wanted);
    if (await change(section.value, wanted, [{ op: "add", path: ["enabled"], value: "false" }])) name.value = "";
  }

  refresh();
  return {
    /** The text has changed. */
    touch() {
      clearTimeout(timer);
      timer = setTimeout(refresh, AFTER_TYPING);
    },
  };
}

/**
 * The flags that could be taken out, and why; each leads to its card.
 * @param {Section} section
 */
function staleOf(section) {
  const stale = section.flags.filter((flag) => flag.stale);
  if (!stale.length) return [];
  const line = element("p", "p-flag-stale muted", "Could be taken out: ");
  for (const flag of stale) {
    const link = /** @type {HTMLButtonElement} */ (element("button", "p-chip", `${flag.name}: ${flag.stale === "expired" ? `expired ${flag.expires}` : "the same for everyone"}`));
    link.type = "button";
    link.addEventListener("click", () => /** @type {HTMLElement | null} */ (document.querySelector(`[data-place="${CSS.escape(`${flag.key} name`)}"]`))?.focus());
    line.append(link, " ");
  }
  return [line];
}

/**
 * A JSON Patch (RFC 6902) as text.
 * @param {Operation[]} patch
 */
function spelled(patch) {
  const each = patch.map(({ op, path, value }) => {
    const pointer = path.map((step) => `/${String(step).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
    return `{"op":"${op}","path":${JSON.stringify(pointer)}${value === undefined ? "" : `,"value":${value}`}}`;
  });
  return `[${each.join(",")}]`;
}
