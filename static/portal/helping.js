// Help with the section that the cursor is in: what it is for, what may stand there, an example.
import { element } from "./checking.js";
import { membersAt } from "./completion.js";
import { why } from "./inserting.js";
import { replaceWith } from "./making.js";
import { post } from "./server.js";
import { spotAt } from "./spots.js";

/** @typedef {import("../vendor/codemirror/codemirror.js").EditorView} EditorView */
/** @typedef {import("./completion.js").Section} Section */

const AFTER_MOVING = 150;
const KEY = /^\s*[[<]*\s*["']?([^"'\s:=.[\]<>]+)/; // the first name of a line

/**
 * @param {object} options
 * @param {HTMLFormElement} options.form
 * @param {EditorView} options.view
 * @param {() => string} options.format
 * @param {Record<string, Section>} options.sections
 * @param {string} options.url POST content, format, section: 200 {content, added}
 */
export function openHelping({ form, view, format, sections, url }) {
  const body = /** @type {HTMLElement} */ (document.getElementById("help-body"));
  const status = /** @type {HTMLElement} */ (document.getElementById("help-status"));
  const insert = /** @type {HTMLButtonElement | null} */ (document.getElementById("help-insert"));
  const chips = /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll("#help [data-section]"));
  let shown = "";
  let place = "";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  /**
   * @param {string} key
   * @param {(string | null)[]} path
   */
  function show(key, path) {
    const now = JSON.stringify(path);
    if (key === shown && now === place) return;
    shown = key;
    place = now;
    const section = sections[key];
    for (const chip of chips) chip.setAttribute("aria-pressed", String(chip.dataset.section === key));
    body.hidden = !section;
    status.textContent = "";
    if (!section) return;
    write("help-title", path.map((step) => step ?? "[ ]").join("."));
    write("help-type", section.type);
    write("help-text", [section.description, section.about].filter(Boolean).join(" — "));
    document.getElementById("help-members")?.replaceChildren(...membersAt(sections, path).map(described));
  }

  /** @param {import("./completion.js").Member} member */
  function described(member) {
    const term = element("dt", "", "");
    term.append(element("code", "", member.name), " ", element("small", "muted", member.detail));
    const pair = element("div", "", "");
    pair.append(term, element("dd", "", [member.info, member.values].filter(Boolean).join(": ")));
    return pair;
  }

  function follow() {
    const text = view.state.doc.toString();
    const { head } = view.state.selection.main;
    const line = view.state.doc.lineAt(head);
    const begin = line.from + line.text.search(/\S|$/);
    const path = [head, begin].map((at) => spotAt(format(), text, at)?.path ?? []).find((each) => each.length) ?? [];
    const first = path[0] ?? line.text.match(KEY)?.[1];
    if (typeof first === "string" && Object.hasOwn(sections, first)) show(first, path.length ? path : [first]);
  }

  async function add() {
    if (!insert || insert.disabled) return;
    const before = view.state.doc.toString();
    const data = new FormData();
    data.set("content", before);
    data.set("format", format());
    data.set("section", shown);
    insert.disabled = true;
    const answer = await post(form, url, data);
    insert.disabled = false;
    if (answer.outcome !== "ok") {
      status.textContent = why(answer);
    } else if (view.state.doc.toString() !== before) {
      status.textContent = "The text has changed meanwhile: try again.";
    } else if (!answer.data.added) {
      status.textContent = "The text has everything of the example already.";
    } else {
      replaceWith(view, answer.data.content);
      status.textContent = "Put in: change what does not suit, or undo it by Ctrl+Z.";
      view.focus();
    }
  }

  for (const chip of chips) {
    chip.addEventListener("click", () => show(chip.dataset.section ?? "", [chip.dataset.section ?? ""]));
  }
  insert?.addEventListener("click", add);
  follow();
  return {
    /** The cursor or the text has moved. */
    touch() {
      clearTimeout(timer);
      timer = setTimeout(follow, AFTER_MOVING);
    },
  };
}

/**
 * @param {string} id
 * @param {string} words
 */
function write(id, words) {
  const found = document.getElementById(id);
  if (found) found.textContent = words;
}
