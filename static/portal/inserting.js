// "Insert secret": choose a secret or make one, and its name stands at the cursor.
import { element } from "./checking.js";
import { post } from "./server.js";
import { spotAt } from "./spots.js";

/** @typedef {import("../vendor/codemirror/codemirror.js").EditorView} EditorView */
/** @typedef {{name: string, place: string, inherited: boolean}} Known */

/** What stands for a secret in place of a value.
 * @type {Record<string, (name: string) => string>}
 */
const VALUES = {
  yaml: (name) => `{"$secret": "${name}"}`,
  json: (name) => `{"$secret": "${name}"}`,
  toml: (name) => `{"$secret" = "${name}"}`,
  xml: (name) => `<_ name="$secret">${name}</_>`,
  properties: (name) => `\${secret:${name}}`,
  env: (name) => `\${secret:${name}}`,
};
/** The same with a key before it, where a key is wanted.
 * @type {Record<string, (name: string, value: string) => string>}
 */
const ENTRIES = {
  yaml: (name, value) => `${/^[A-Za-z_][\w.-]*$/.test(name) ? name : JSON.stringify(name)}: ${value}`,
  json: (name, value) => `${JSON.stringify(name)}: ${value}`,
  toml: (name, value) => `${/^[\w-]+$/.test(name) ? name : JSON.stringify(name)} = ${value}`,
  xml: (name, value) => (/^[A-Za-z_][\w.-]*$/.test(name) ? `<${name}>${value}</${name}>` : `<_ name="${name}">${value}</_>`),
  properties: (name, value) => `${name}=${value}`,
  env: (name, value) => `${name.toUpperCase().replace(/\W/g, "_").replace(/^(?=\d)/, "_")}=${value}`,
};

/**
 * What to write for a secret at a place in a document: an entry where a key is wanted, the name
 * inside a text that is already quoted, else what stands for the value.
 * @param {string} format
 * @param {string} text
 * @param {number} position
 * @param {string} name
 */
export function secretAt(format, text, position, name) {
  const line = text.slice(text.lastIndexOf("\n", position - 1) + 1, position);
  if (["yaml", "json", "toml"].includes(format) && isInQuotes(line)) return `\${secret:${name}}`;
  const value = (VALUES[format] ?? VALUES.yaml)(name);
  if (format === "xml") return /^\s*$/.test(line) ? ENTRIES.xml(name, value) : value;
  if (spotAt(format, text, position)?.wants === "key" && /^[\s{,[-]*$/.test(line)) return (ENTRIES[format] ?? ENTRIES.yaml)(name, value);
  return format === "yaml" && line.endsWith(":") ? ` ${value}` : value;
}

/** Whether a text that begins on the line is still open at its end.
 * @param {string} line
 */
function isInQuotes(line) {
  let open = "";
  for (let at = 0; at < line.length; at += 1) {
    const sign = line[at];
    if (open === '"' && sign === "\\") at += 1;
    else if (sign === open) open = "";
    else if (!open && (sign === '"' || sign === "'") && /[\s:={[,(]|^$/.test(line[at - 1] ?? "")) open = sign;
  }
  return open !== "";
}

/**
 * Let a secret be inserted into `view`.
 * @param {object} options
 * @param {EditorView} options.view
 * @param {() => string} options.format
 * @param {Known[]} options.known
 * @param {string} options.url POST name, value, is_object: 201 {name, place}, else {detail, errors}
 */
export function openInserting({ view, format, known, url }) {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("secret-dialog"));
  const find = /** @type {HTMLInputElement} */ (document.getElementById("secret-find"));
  const pick = /** @type {HTMLSelectElement} */ (document.getElementById("secret-pick"));
  const insertButton = /** @type {HTMLButtonElement} */ (document.getElementById("secret-insert"));
  const status = /** @type {HTMLElement} */ (document.getElementById("secret-status"));
  const form = /** @type {HTMLFormElement | null} */ (document.getElementById("secret-form"));
  const make = /** @type {HTMLButtonElement | null} */ (document.getElementById("secret-make"));

  function list() {
    const wanted = find.value.trim().toLowerCase();
    const fitting = known.filter((each) => each.name.toLowerCase().includes(wanted));
    pick.replaceChildren(
      ...fitting.map((each) => {
        const option = /** @type {HTMLOptionElement} */ (element("option", "", each.inherited ? `${each.name} (from ${each.place})` : each.name));
        option.value = each.name;
        return option;
      }),
    );
    pick.selectedIndex = fitting.length ? 0 : -1;
    insertButton.disabled = !fitting.length;
    status.textContent = fitting.length ? "" : known.length ? "No secret of this name is here." : "There are no secrets here yet.";
  }

  function open() {
    find.value = "";
    list();
    dialog.showModal();
    if (known.length) find.focus();
    else if (form) /** @type {HTMLDetailsElement} */ (form.closest("details")).open = true;
  }

  /** @param {string} name */
  function insert(name) {
    dialog.close();
    const { from } = view.state.selection.main;
    view.dispatch(view.state.replaceSelection(secretAt(format(), view.state.doc.toString(), from, name)), { scrollIntoView: true });
    view.focus();
  }

  async function create() {
    if (!form || !make || make.disabled) return;
    make.disabled = true;
    status.textContent = "Making it…";
    const answer = await post(form, url, new FormData(form));
    make.disabled = false;
    if (!dialog.open) return;
    if (answer.outcome === "ok") {
      known.push({ name: answer.data.name, place: answer.data.place, inherited: false });
      insert(answer.data.name);
    } else status.textContent = why(answer);
  }

  function forget() {
    form?.reset();
  }

  find.addEventListener("input", list);
  find.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && pick.value) {
      event.preventDefault();
      insert(pick.value);
    } else if (event.key === "ArrowDown") pick.focus();
  });
  pick.addEventListener("dblclick", () => pick.value && insert(pick.value));
  pick.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && pick.value) insert(pick.value);
  });
  insertButton.addEventListener("click", () => pick.value && insert(pick.value));
  document.getElementById("secret-cancel")?.addEventListener("click", () => dialog.close());
  form?.addEventListener("submit", (event) => {
    event.preventDefault();
    create();
  });
  dialog.addEventListener("close", forget);
  window.addEventListener("pagehide", forget);
  document.getElementById("insert-secret")?.addEventListener("click", open);
}

/** @param {import("./server.js").Answer} answer */
export function why({ outcome, data }) {
  if (outcome === "logged-out") return "You are logged out: log in in another tab, then try again.";
  if (outcome !== "refused") return "The server does not answer. Try again.";
  return data.errors?.[0]?.message ?? data.detail;
}
