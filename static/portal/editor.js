// The configuration page: the editor, its draft, the review before publishing, and the news.
// The page's markup is templates/portal/config.html; the server stays the authority on everything.
import { cm, language, showDifference, theme } from "./code.js";

const $ = (id) => document.getElementById(id);
const root = $("editor");
const form = $("config-form");
const area = form.elements.content;
const facts = root.dataset;
const readOnly = facts.readOnly === "yes";
const json = (id) => JSON.parse($(id)?.textContent || "{}");
const schemas = json("editor-schema");
const known = json("editor-known");
const keptAs = `configsvc:${facts.user}:${facts.service}:${facts.environment}`;
const csrf = () => form.elements.csrfmiddlewaretoken.value;
const SAVE_AFTER = 800;
const CHECK_AFTER = 400;

let timers = {};
let savedText = area.value;
let submitting = false;

function later(name, milliseconds, act) {
  clearTimeout(timers[name]);
  timers[name] = setTimeout(act, milliseconds);
}

// ---- the editor ---------------------------------------------------------------------------

const languagePart = new cm.Compartment();
const look = theme();
const view = new cm.EditorView({
  parent: root,
  state: cm.EditorState.create({
    doc: area.value,
    extensions: [
      cm.lineNumbers(),
      cm.foldGutter(),
      cm.history(),
      cm.drawSelection(),
      cm.indentOnInput(),
      cm.bracketMatching(),
      cm.closeBrackets(),
      cm.highlightActiveLine(),
      cm.highlightActiveLineGutter(),
      cm.highlightSelectionMatches(),
      cm.search({ top: true }),
      cm.lintGutter(),
      cm.autocompletion({ override: [complete] }),
      cm.indentUnit.of("  "),
      cm.EditorView.lineWrapping,
      cm.EditorState.readOnly.of(readOnly),
      cm.EditorView.contentAttributes.of({ "aria-label": "Configuration text" }),
      languagePart.of(language(form.elements.format.value)),
      look.extension,
      cm.keymap.of([
        { key: "Mod-s", run: () => (saveDraft(), true), preventDefault: true },
        { key: "Mod-Enter", run: () => (review(), true) },
        ...cm.closeBracketsKeymap,
        ...cm.completionKeymap,
        ...cm.searchKeymap,
        ...cm.historyKeymap,
        ...cm.foldKeymap,
        ...cm.lintKeymap,
        ...cm.defaultKeymap,
        cm.indentWithTab,
      ]),
      cm.EditorView.updateListener.of((update) => {
        if (update.docChanged) changed();
      }),
    ],
  }),
});
look.follow(view);
area.hidden = true;
area.style.display = "none";
const text = () => view.state.doc.toString();
const replaceText = (next) => view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: next } });

function changed() {
  area.value = text();
  keep();
  if (!readOnly) {
    $("saved").textContent = "Saving…";
    later("save", SAVE_AFTER, saveDraft);
  }
  later("check", CHECK_AFTER, check);
}

// ---- completion: keys and values from the schemas and from what is live ----------------------

function complete(context) {
  const word = context.matchBefore(/[\w.-]*/);
  if (!word || (word.from === word.to && !context.explicit)) return null;
  const path = pathAt(context.state, context.pos);
  const schema = schemaAt(path);
  const here = path.reduce((node, step) => (node && typeof node === "object" ? node[step] : undefined), known);
  const options = [];
  const add = (label, type, detail) => {
    if (!options.some((each) => each.label === label)) options.push({ label, type, detail });
  };
  for (const [name, child] of Object.entries(schema?.properties ?? {})) add(name, "property", child.type ?? child.description);
  for (const value of schema?.enum ?? []) add(String(value), "enum");
  if (schema?.type === "boolean") ["true", "false"].forEach((each) => add(each, "keyword"));
  if (path.length === 0) for (const [name, section] of Object.entries(schemas)) add(name, "property", section.type);
  if (here && typeof here === "object") Object.keys(here).forEach((name) => add(name, "property", "live"));
  return options.length ? { from: word.from, options } : null;
}

function pathAt(state, position) {
  const line = state.doc.lineAt(position);
  const value = line.text.slice(0, position - line.from).match(/^\s*["']?([\w.-]+)["']?\s*[:=]\s*/);
  const path = value ? [value[1]] : [];
  let indent = line.text.search(/\S|$/);
  for (let number = line.number - 1; number > 0 && indent > 0; number--) {
    const above = state.doc.line(number).text;
    const own = above.search(/\S|$/);
    const key = above.match(/^\s*["']?([\w.-]+)["']?\s*:\s*\{?\s*(?:#.*)?$/);
    if (key && own < indent) {
      path.unshift(key[1]);
      indent = own;
    }
  }
  return path;
}

function schemaAt(path) {
  let schema = { properties: Object.fromEntries(Object.entries(schemas).map(([key, each]) => [key, each.schema])) };
  for (const step of path) schema = schema?.properties?.[step] ?? (typeof schema?.additionalProperties === "object" ? schema.additionalProperties : undefined);
  return schema;
}

// ---- validation --------------------------------------------------------------------------------

let checked = 0;
async function check() {
  const turn = ++checked;
  const body = { service: facts.service, environment: facts.environment, content: text(), format: form.elements.format.value, extends: chosen() };
  const answer = await post(facts.validateUrl, JSON.stringify(body), { "Content-Type": "application/json" });
  if (turn !== checked || !answer) return null;
  const report = answer.ok ? answer.data : { valid: false, errors: answer.data.errors?.length ? answer.data.errors : [{ message: answer.data.detail }], changes: [] };
  showProblems(report);
  return report;
}

function chosen() {
  return [...form.querySelectorAll('input[name="extends"]:checked')].map((each) => ({ template: each.value }));
}

function showProblems(report) {
  const problems = report.errors ?? [];
  view.dispatch(cm.setDiagnostics(view.state, problems.map((each) => ({ ...place(each), severity: "error", message: each.message }))));
  $("problems").replaceChildren(
    ...problems.slice(0, 30).map((each) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = `${each.line ? `Line ${each.line}: ` : ""}${each.pointer ?? ""} ${each.message}`;
      button.onclick = () => {
        view.dispatch({ selection: { anchor: place(each).from }, scrollIntoView: true });
        view.focus();
      };
      item.append(button);
      return item;
    }),
  );
  const count = report.changes?.length ?? 0;
  const news = count ? `${count} change${count === 1 ? "" : "s"} against what is live` : "No change against what is live";
  $("summary").textContent = problems.length ? `${problems.length} problem${problems.length === 1 ? "" : "s"}` : `Valid · ${news}`;
}

function place(problem) {
  if (!problem.line || problem.line > view.state.doc.lines) return { from: 0, to: 0 };
  const line = view.state.doc.line(problem.line);
  return { from: Math.min(line.from + (problem.column ?? 1) - 1, line.to), to: line.to };
}

// ---- the draft: on the server, and in this browser for when the server cannot have it ------------

function keep() {
  try {
    localStorage.setItem(keptAs, JSON.stringify({ text: text(), format: form.elements.format.value, at: Date.now() / 1000 }));
  } catch {
    /* private windows have no storage; the server's draft remains */
  }
}

async function saveDraft() {
  if (readOnly) return;
  const sent = text();
  const answer = await post(facts.draftUrl, new FormData(form));
  if (answer?.ok) {
    savedText = sent;
    $("saved").textContent = "Saved";
    localStorage.removeItem(keptAs);
  } else if (answer?.status === 403 || answer?.redirected) {
    $("saved").textContent = "You are logged out. Your text is kept in this browser.";
  } else {
    $("saved").textContent = answer?.data?.detail ?? "Not saved; kept in this browser.";
  }
}

function offerRestore() {
  const kept = JSON.parse(localStorage.getItem(keptAs) ?? "null");
  if (!kept || kept.text === text() || kept.at < Number(facts.draftSaved)) return;
  const banner = $("restore");
  const button = document.createElement("button");
  button.className = "p-button";
  button.textContent = "Bring it back";
  button.onclick = () => {
    form.elements.format.value = kept.format;
    view.dispatch({ effects: languagePart.reconfigure(language(kept.format)) });
    replaceText(kept.text);
    banner.hidden = true;
  };
  banner.replaceChildren(`This browser holds text that was not saved (${new Date(kept.at * 1000).toLocaleString()}).`, button);
  banner.hidden = false;
}

async function post(url, body, headers = {}) {
  try {
    const response = await fetch(url, { method: "POST", body, headers: { "X-CSRFToken": csrf(), ...headers } });
    const data = response.headers.get("content-type")?.includes("json") ? await response.json() : {};
    const isPage = !response.headers.get("content-type")?.includes("json");
    return { ok: response.ok && !isPage, status: response.status, redirected: response.redirected, data };
  } catch {
    return null;
  }
}

addEventListener("beforeunload", (event) => {
  if (!submitting && !readOnly && text() !== savedText && !localStorage.getItem(keptAs)) event.preventDefault();
});

// ---- format and templates ------------------------------------------------------------------------

let format = form.elements.format.value;
form.elements.format.addEventListener("change", async () => {
  const wanted = form.elements.format.value;
  const data = new FormData(form);
  data.set("format", format);
  data.set("to", wanted);
  const answer = await post(facts.convertUrl, data);
  if (!answer?.ok) {
    form.elements.format.value = format;
    $("saved").textContent = answer?.data?.detail ?? "It could not be converted.";
    return;
  }
  format = wanted;
  view.dispatch({ effects: languagePart.reconfigure(language(wanted)) });
  replaceText(answer.data.content);
});
form.querySelectorAll('input[name="extends"]').forEach((each) => each.addEventListener("change", changed));

// ---- review and publish ---------------------------------------------------------------------------

const dialog = $("dialog");
async function review() {
  if (readOnly || !$("review")) return;
  const report = await check();
  if (!report?.valid) {
    $("saved").textContent = "Solve the problems first.";
    return;
  }
  dialog.showModal();
  const count = report.changes.length;
  $("dialog-summary").textContent = count ? `${count} key${count === 1 ? "" : "s"} would change: ${report.changes.slice(0, 8).map((each) => each.key).join(", ")}${count > 8 ? " …" : ""}` : "The composed document stays the same.";
  showDifference($("dialog-diff"), $("live-text").value, text(), format);
  form.elements.message.focus();
}
$("review")?.addEventListener("click", review);
$("cancel").addEventListener("click", () => dialog.close());
form.addEventListener("submit", () => {
  clearTimeout(timers.save);
  submitting = true;
  area.value = text();
  $("publish").disabled = true;
});

// ---- news: somebody else publishes ------------------------------------------------------------------

let attempts = 0;
function listen() {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/config`);
  const dot = $("live-dot");
  const say = (state, words) => {
    dot.dataset.state = state;
    dot.lastElementChild.textContent = words;
  };
  socket.onopen = () => {
    attempts = 0;
    socket.send(JSON.stringify({ type: "subscribe", service: facts.service, environment: facts.environment }));
  };
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data);
    if (message.type === "ready") say("on", "live");
    if (message.type === "changed" && message.version > Number(facts.liveVersion) && !submitting) announce(message);
  };
  socket.onclose = () => {
    say("off", "offline");
    setTimeout(listen, Math.min(30_000, 500 * 2 ** attempts++) * (0.5 + Math.random()));
  };
}

function announce(message) {
  const banner = $("news");
  const link = (url, words) => Object.assign(document.createElement("a"), { href: url, textContent: words, className: "p-button" });
  banner.replaceChildren(
    Object.assign(document.createElement("span"), { textContent: `Version ${message.version} was published just now (${message.cause}): ${message.keys.slice(0, 5).join(", ")}` }),
    link(`${facts.diffUrl}?from=${facts.liveVersion}&to=live`, "See what changed"),
    link(location.pathname, "Load it"),
  );
  banner.hidden = false;
}

offerRestore();
check();
listen();
