/**
 * The configuration page: a code editor over the form's textarea, its draft, its validation, the
 * review before publishing, and the news of other people's publishing. The server stays the
 * authority on everything; without this script the textarea is still there.
 *
 * What the page has to hold (templates/portal/config.html):
 *
 *     <form id="config-form" method="post" action="PUBLISH-ADDRESS">
 *       <input name="csrfmiddlewaretoken"> <input name="base_version"> <input name="message">
 *       <input name="page"> (a random name of this page) <input name="known"> (the time of the
 *       draft that the server is known to have)
 *       <select name="format">…</select> <input type="checkbox" name="extends" value="TEMPLATE">…
 *       <div id="editor" data-service data-environment data-user
 *            data-live-version    the version that is live, 0 when none is
 *            data-live-format     its format (absent: the one selected)
 *            data-draft-saved     when the draft was saved, in seconds; 0 without one
 *            data-read-only       "yes" or "no"
 *            data-validate-url    POST JSON {service, environment, content, format, extends}, the
 *                                 answer is that of /validate
 *            data-draft-url       POST the form: 200 JSON when it is saved; with discard=1: forget it
 *            data-convert-url     POST content, format, to: 200 {content}, else {detail, errors}
 *            data-diff-url        a page; gets ?from=&to=
 *            data-config-url      where the API serves it
 *            data-ws-url          the WebSocket
 *            data-secret-url      POST name, value: 201 {name, place}, else {detail, errors}
 *            data-make-url        POST content, format, pointer, name: 201 {name, place, content,
 *                                 still}, else {detail, errors}
 *            data-example-url     POST content, format, section: 200 {content, added}, else {detail, errors}
 *            data-flags-url       POST content, format, extends, and section, flag, patch or context:
 *                                 200 {sections, content, tried} (see flags.js), else {detail, errors}
 *            data-login-url
 *         ><textarea name="content">…</textarea></div>
 *       <span id="saved" role="status">, <span id="summary" role="status">, <ol id="problems">
 *       <button type="button" id="review"> (only for those who may publish)
 *       <dialog id="dialog"> #dialog-summary, #dialog-diff, the message, #cancel, #publish (submits)
 *     </form>
 *     <div id="news" hidden>, <div id="restore" hidden>, <span id="live-dot"><i></i><span></span></span>
 *     <textarea id="live-text" hidden>the live source</textarea>
 *     <script type="application/json" id="editor-schema">{KEY: {type, about, description, schema, shape}}</script>
 *     <script type="application/json" id="editor-known">the live effective document</script>
 *
 * Where the service has sections, also #help with a button of data-section for each (see helping.js).
 * For those who may write, also #insert-secret, the dialog #secret-dialog outside of the form, and
 * `editor-secrets`, a JSON list of {name, place, inherited} (see inserting.js).
 *
 * The form posts the textarea, which is kept equal to the editor. No inline handlers and no
 * eval: `script-src 'self'` is enough; the editor's styles need `style-src 'unsafe-inline'`.
 */
import { announce, offerRestore, wordsOf } from "./banners.js";
import { openChecking } from "./checking.js";
import { cm, language, theme } from "./code.js";
import { completions } from "./completion.js";
import { openConverting } from "./converting.js";
import { openDraft, say } from "./draft.js";
import { openFlags } from "./flags.js";
import { openHelping } from "./helping.js";
import { openInserting } from "./inserting.js";
import { openMaking } from "./making.js";
import { openKept } from "./kept.js";
import { listen } from "./news.js";
import { openReview } from "./review.js";
import { csrfToken, post } from "./server.js";

const OWN_PUBLISH = 30_000; // how long news may be of what another tab has just sent

/** @type {(id: string) => HTMLElement} */
const $ = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const root = $("editor");
const form = /** @type {HTMLFormElement} */ ($("config-form"));
/** @type {<T extends HTMLElement>(name: string) => T} */
const field = (name) => /** @type {any} */ (form.elements.namedItem(name));
const area = /** @type {HTMLTextAreaElement} */ (field("content"));
const select = /** @type {HTMLSelectElement} */ (field("format"));
const message = /** @type {HTMLInputElement} */ (field("message"));
const facts = /** @type {Record<string, string>} */ ({
  liveFormat: select.value,
  ...root.dataset,
});
const isReadOnly = facts.readOnly === "yes";
const liveVersion = Number(facts.liveVersion);
const baseField = /** @type {HTMLInputElement} */ (field("base_version"));
const liveText = /** @type {HTMLTextAreaElement} */ ($("live-text")).value;
/** @type {(id: string) => any} */
const embedded = (id) => JSON.parse(document.getElementById(id)?.textContent || "{}");

/** @type {HTMLInputElement} */ (field("page")).value = crypto.getRandomValues(new Uint32Array(4)).join("-");

let format = select.value;
let newest = liveVersion;
let isLeaving = false;

// ---- the text and the form ------------------------------------------------------------------

const languagePart = new cm.Compartment();
const historyPart = new cm.Compartment();
const sections = embedded("editor-schema");
const view = new cm.EditorView({ parent: root, state: cm.EditorState.create({ doc: area.value, extensions: extensions() }) });
area.hidden = true;
area.value = text();

/** The version that the text is on; 0: none. */
function base() {
  return Number(baseField.value);
}

function text() {
  return view.state.doc.toString();
}

function templates() {
  const boxes = /** @type {NodeListOf<HTMLInputElement>} */ (form.querySelectorAll('input[name="extends"]'));
  return [...boxes].filter((box) => box.checked).map((box) => box.value);
}

/**
 * What a box stands for: the template's name, or the JSON of the entry with its parameters.
 * @param {string} value
 * @returns {{template: string, with?: unknown}}
 */
function extended(value) {
  return value.startsWith("{") ? JSON.parse(value) : { template: value };
}

/**
 * The parameters of an entry as they were written: their numbers keep their digits.
 * @param {string} value
 */
function written(value) {
  const given = extended(value).with;
  return typeof given === "string" ? given : value.slice(value.indexOf('"with":') + 7, -1);
}

/** @param {HTMLInputElement} given the line of parameters */
function takeParameters(given) {
  const box = /** @type {HTMLInputElement} */ (form.querySelector(`#${CSS.escape(given.dataset.box ?? "")}`));
  const template = box.dataset.template ?? "";
  let parameters = given.value.trim(); // sent as it is written: its numbers keep their digits
  given.removeAttribute("aria-invalid");
  try {
    if (parameters) JSON.parse(parameters);
  } catch {
    parameters = JSON.stringify(parameters); // the server says what is wrong with it
    given.setAttribute("aria-invalid", "true");
  }
  box.value = parameters ? `{"template":${JSON.stringify(template)},"with":${parameters}}` : template;
  changed();
}

function read() {
  return { content: text(), format, extends: templates().map(extended) };
}

/** @returns {import("./kept.js").Entry} */
function entry() {
  return { text: text(), format, message: message.value, extends: templates(), at: Date.now() / 1000, base: base() };
}

/** @param {string} next */
function replaceText(next) {
  view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: next } });
}

/** @param {string} next */
function setFormat(next) {
  format = next;
  select.value = next;
  view.dispatch({ effects: languagePart.reconfigure(language(next)) });
}

/**
 * The history begins anew: undoing into another format would give text that cannot be read.
 * @param {string} next
 * @param {string} content
 */
function replaceAll(next, content) {
  setFormat(next);
  replaceText(content);
  view.dispatch({ effects: historyPart.reconfigure([]) });
  view.dispatch({ effects: historyPart.reconfigure(cm.history()) });
  changed();
}

/**
 * The text comes back with the version that it is on: what was published since is not its author's to undo.
 * @param {import("./kept.js").Entry} kept
 */
function restore(kept) {
  if (kept.base !== undefined) baseField.value = String(kept.base);
  tellOfOlderBase();
  message.value = kept.message ?? "";
  const left = [...(kept.extends ?? [])];
  for (const box of /** @type {NodeListOf<HTMLInputElement>} */ (form.querySelectorAll('input[name="extends"]'))) {
    const at = left.findIndex((value) => extended(value).template === box.dataset.template);
    const found = at < 0 ? undefined : left.splice(at, 1)[0];
    box.checked = kept.extends ? found !== undefined : box.checked;
    const line = /** @type {HTMLInputElement | null} */ (form.querySelector(`[data-box="${box.id}"]`));
    if (found === undefined || !line) continue;
    box.value = found;
    line.value = found.startsWith("{") ? written(found) : "";
  }
  setFormat(kept.format);
  replaceText(kept.text);
  changed();
  view.focus();
}

// ---- what follows an edit ---------------------------------------------------------------------

const tabs = new BroadcastChannel("configsvc");
const here = `${facts.service}/${facts.environment}`;
const kept = openKept(facts.user, facts.service, facts.environment);
const draft = openDraft({ form, url: facts.draftUrl, loginUrl: facts.loginUrl, kept, read: entry, status: $("saved"), onSaved: () => tabs.postMessage({ saved: here, user: facts.user }) });
const secrets = document.getElementById("editor-secrets") ? embedded("editor-secrets") : [];
const making = document.getElementById("make-dialog")
  ? openMaking({ view, format: () => format, known: secrets, url: facts.makeUrl, made: () => draft.save(), check: () => checking.check() })
  : null;
const checking = openChecking({
  form,
  url: facts.validateUrl,
  service: facts.service,
  environment: facts.environment,
  isFirst: !liveVersion,
  view,
  read,
  list: $("problems"),
  summary: $("summary"),
  making,
});
const review = document.getElementById("review")
  ? openReview({
      form,
      convertUrl: facts.convertUrl,
      service: facts.service,
      environment: facts.environment,
      base,
      liveVersion,
      liveText,
      liveFormat: facts.liveFormat,
      read,
      check: checking.check,
      newest: () => newest,
      making,
    })
  : null;

const converting = openConverting({
  form,
  select,
  url: facts.convertUrl,
  status: $("saved"),
  read: () => ({ text: text(), format }),
  replace: replaceAll,
  refused: checking.check,
});

if (document.getElementById("secret-dialog")) {
  openInserting({ view, format: () => format, known: secrets, url: facts.secretUrl });
}

const helping = document.getElementById("help") ? openHelping({ form, view, format: () => format, sections, url: facts.exampleUrl }) : null;

const flags = document.getElementById("flags") ? openFlags({ form, view, format: () => format, isReadOnly, url: facts.flagsUrl }) : null;

function changed() {
  area.value = text();
  converting.touch();
  flags?.touch();
  if (isReadOnly) return;
  draft.touch();
  checking.touch();
}

function save() {
  if (!isReadOnly) draft.save();
  return true;
}

function lookAgain() {
  review?.open();
  return true;
}

function extensions() {
  return [
    cm.lineNumbers(),
    cm.foldGutter(),
    cm.highlightSpecialChars(),
    historyPart.of(cm.history()),
    cm.drawSelection(),
    cm.indentOnInput(),
    cm.bracketMatching(),
    cm.closeBrackets(),
    cm.highlightActiveLine(),
    cm.highlightActiveLineGutter(),
    cm.highlightSelectionMatches(),
    cm.search({ top: true }),
    cm.lintGutter(),
    cm.autocompletion({ override: [completions(sections, embedded("editor-known"), () => format)], icons: false }),
    cm.indentUnit.of("  "),
    cm.EditorView.lineWrapping,
    cm.EditorState.readOnly.of(isReadOnly),
    cm.EditorView.contentAttributes.of({
      "aria-label": isReadOnly ? "Configuration text, read only" : "Configuration text. Escape, then Tab, leaves the editor.",
    }),
    languagePart.of(language(format)),
    theme(),
    cm.keymap.of([
      { key: "Mod-Enter", run: lookAgain },
      ...cm.closeBracketsKeymap,
      ...cm.completionKeymap,
      ...cm.searchKeymap,
      ...cm.historyKeymap,
      ...cm.foldKeymap,
      ...cm.lintKeymap,
      ...cm.defaultKeymap,
      { key: "Escape", run: cm.temporarilySetTabFocusMode },
      ...(isReadOnly ? [] : [cm.indentWithTab]),
    ]),
    cm.EditorView.updateListener.of((update) => {
      if (update.docChanged) changed();
      if (update.docChanged || update.selectionSet) helping?.touch();
    }),
  ];
}

message.addEventListener("input", () => draft.touch());
form.querySelectorAll('input[name="extends"]').forEach((box) => box.addEventListener("change", changed));
for (const line of /** @type {NodeListOf<HTMLInputElement>} */ (form.querySelectorAll(".p-with"))) {
  line.addEventListener("input", () => takeParameters(line));
}
document.addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
  if (event.key.toLowerCase() === "s") {
    event.preventDefault();
    save();
  } else if (event.key === "Enter" && !event.defaultPrevented) {
    event.preventDefault();
    lookAgain();
  }
});

// ---- publishing, and leaving ----------------------------------------------------------------------

const publish = /** @type {HTMLButtonElement | null} */ (document.getElementById("publish"));

document.getElementById("review")?.addEventListener("click", lookAgain);
form.addEventListener("submit", (event) => {
  if (!review?.isOpen()) {
    event.preventDefault(); // Enter in a field is not a decision to publish
    lookAgain();
    return;
  }
  leave();
  field("csrfmiddlewaretoken").setAttribute("value", csrfToken(form));
  tabs.postMessage({ published: here, user: facts.user });
  if (publish) publish.disabled = true;
});

function leave() {
  isLeaving = true;
  area.value = text();
  draft.close();
}

addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  isLeaving = false;
  draft.reopen();
  if (publish) publish.disabled = false;
});
addEventListener("beforeunload", (event) => {
  if (!isLeaving && !isReadOnly && !draft.isSafe()) event.preventDefault();
});

// ---- news -------------------------------------------------------------------------------------------

let ownUntil = 0;
tabs.onmessage = ({ data }) => {
  if (data.user !== facts.user) return;
  if (data.published === here) ownUntil = Date.now() + OWN_PUBLISH;
  if (data.saved === here) say($("saved"), "Another tab of yours has saved this draft: open this page anew to go on with it", "bad");
};

/** @param {string} words */
function tell(words) {
  announce({ banner: $("news"), words, from: base(), to: newest, diffUrl: facts.diffUrl, load });
}

function tellOfOlderBase() {
  const on = base();
  if (on < liveVersion) tell(`Version ${newest} was published since you began this text${on ? `, on version ${on}` : ""}`);
}

/** The newest version in place of this text, which stays in this browser to be restored. */
async function load() {
  const isEdited = text() !== liveText;
  leave();
  if (!isEdited) kept.drop();
  if (!isReadOnly) {
    const data = new FormData();
    data.set("discard", "1");
    await post(form, facts.draftUrl, data);
  }
  location.assign(location.pathname);
}

listen({
  url: facts.wsUrl,
  configUrl: facts.configUrl,
  service: facts.service,
  environment: facts.environment,
  hasLive: liveVersion > 0,
  onVersion(news) {
    if (news.version <= newest || isLeaving) return;
    newest = news.version;
    tell(wordsOf(news, Date.now() < ownUntil));
  },
  onState(state, words) {
    const dot = $("live-dot");
    dot.dataset.state = state;
    if (dot.lastElementChild) dot.lastElementChild.textContent = words;
  },
});

if (!isReadOnly) {
  tellOfOlderBase();
  offerRestore({ banner: $("restore"), kept, draftSaved: Number(facts.draftSaved), current: text, liveText, restore });
}
checking.check();
