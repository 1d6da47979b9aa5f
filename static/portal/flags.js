/**
 * Flags as flags: a switch, variants, rules and shares for each, and what a context gets of them.
 *
 * The text in the editor stays what is edited: a change is a JSON Patch of one flag, the server gives
 * back the changed text, and this page shows what the text says then. Values are JSON text
 * throughout, so that numbers keep their digits.
 *
 * The page holds <section id="flags"> with #flags-list, #flags-status, #flags-find (a field, shown
 * where there are many), #flags-context (a textarea), #flags-try (a button) and #flags-new (a form
 * with a name and a select of sections). The address's "#flag=KEY" leads to a flag.
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
const MANY = 12;
const MOST = 50;
const MOST_STALE = 8;
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
  const find = /** @type {HTMLInputElement} */ (document.getElementById("flags-find"));
  const context = /** @type {HTMLTextAreaElement} */ (document.getElementById("flags-context"));
  const tryButton = /** @type {HTMLButtonElement} */ (document.getElementById("flags-try"));
  const fresh = /** @type {HTMLElement | null} */ (document.getElementById("flags-new"));
  const open = new Set();
  let isTrying = false;
  let tries = 0;
  let most = MOST;
  let wanted = new URLSearchParams(location.hash.slice(1)).get("flag");
  /** @type {{sections: Section[], tried: Record<string, Tried> | undefined}} */
  let shown = { sections: [], tried: undefined };
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
    shown = { sections, tried };
    list.classList.remove("p-old");
    find.hidden = sections.reduce((sum, section) => sum + section.flags.length, 0) <= MANY;
    if (find.hidden) find.value = "";
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset?.place;
    list.replaceChildren(
      ...sections.flatMap((section) => [
        ...(sections.length > 1 ? [element("h3", "", section.key)] : []),
        ...staleOf(section, goTo),
        ...found(section).slice(0, most).map((flag) =>
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
        ...restOf(section),
        ...(section.more ? [element("p", "muted", `and ${section.more} more, in the text`)] : []),
        ...(section.flags.length ? [] : [element("p", "muted", "There are no flags yet.")]),
      ]),
    );
    if (wanted !== null) goTo(wanted);
    else if (focused) /** @type {HTMLElement | null} */ (list.querySelector(`[data-place="${CSS.escape(focused)}"]`))?.focus();
  }

  /** The flags that are looked for. @param {Section} section */
  function found(section) {
    const words = find.value.trim().toLowerCase();
    return section.flags.filter((flag) => `${flag.key} ${flag.description}`.toLowerCase().includes(words));
  }

  /** What is said of flags that are not shown. @param {Section} section */
  function restOf(section) {
    const count = found(section).length;
    if (section.flags.length && !count) return [element("p", "muted", "No flag here matches.")];
    if (count <= most) return [];
    const all = /** @type {HTMLButtonElement} */ (element("button", "p-button", `Show all ${count}`));
    all.type = "button";
    all.addEventListener("click", () => {
      most = Infinity;
      show(shown.sections, shown.tried);
    });
    return [all];
  }

  /** Lead to a flag, also to one that is not shown. @param {string} key */
  function goTo(key) {
    wanted = null;
    open.add(key);
    if (!shown.sections.some((section) => section.flags.some((flag) => flag.key === key))) return;
    const isShown = shown.sections.some((section) => found(section).slice(0, most).some((flag) => flag.key === key));
    if (!isShown) find.value = key;
    show(shown.sections, shown.tried);
    const name = /** @type {HTMLElement | null} */ (list.querySelector(`[data-place="${CSS.escape(`${key} name`)}"]`));
    name?.focus();
    name?.scrollIntoView({ block: "center" });
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
  find.addEventListener("input", () => show(shown.sections, shown.tried));
  find.addEventListener("keydown", (event) => event.key === "Enter" && event.preventDefault());
  fresh?.querySelector("button")?.addEventListener("click", add);
  fresh?.querySelector("input")?.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    add();
  });

  async function add() {
    const name = /** @type {HTMLInputElement} */ (fresh?.querySelector("input"));
    const section = /** @type {HTMLSelectElement} */ (fresh?.querySelector("select"));
    if (!name.value.trim()) return name.focus();
    open.add(name.value.trim());
    if (!(await change(section.value, name.value.trim(), [{ op: "add", path: ["enabled"], value: "false" }]))) return;
    goTo(name.value.trim());
    name.value = "";
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
 * @param {(key: string) => void} goTo
 */
function staleOf(section, goTo) {
  const stale = section.flags.filter((flag) => flag.stale);
  if (!stale.length) return [];
  const line = element("p", "p-flag-stale muted", "Could be taken out: ");
  for (const flag of stale.slice(0, MOST_STALE)) {
    const link = /** @type {HTMLButtonElement} */ (element("button", "p-chip", `${flag.name}: ${flag.stale === "expired" ? `expired ${flag.expires}` : "the same for everyone"}`));
    link.type = "button";
    link.addEventListener("click", () => goTo(flag.key));
    line.append(link, " ");
  }
  if (stale.length > MOST_STALE) line.append(element("span", "", `and ${stale.length - MOST_STALE} more, on the page Flags`));
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
