/**
 * The form of an experiment: shares that make a hundred, patches in the code editor with what they
 * change, the audience as rows, variants and metrics added and taken out.
 *
 * Everything typed stays in the form's own fields; this page posts them as they are.
 */
import { element, plural } from "./checking.js";
import { cm, language, showDifference, theme } from "./code.js";
import { barOf } from "./flag-card.js";
import { conditionField, moveShare, rowsOf } from "./flag-rules.js";
import { why } from "./inserting.js";
import { post } from "./server.js";

const LOOK_AFTER = 400;
const MOST_CHANGES = 50;

const form = /** @type {HTMLFormElement} */ (document.getElementById("experiment"));
const rows = document.getElementById("variant-rows");
const metrics = document.getElementById("metric-rows");

/**
 * @template {HTMLElement} T
 * @param {Element} row
 * @param {string} selector
 */
const inside = (row, selector) => /** @type {T} */ (row.querySelector(selector));
const variantRows = () => /** @type {HTMLElement[]} */ ([...(rows?.children ?? [])]);
/** @param {HTMLElement} row @returns {HTMLInputElement} */
const weightOf = (row) => inside(row, "[name=variants_weight]");
/** @param {HTMLElement} row @returns {HTMLInputElement} */
const sliderOf = (row) => inside(row, "input[type=range]");
/** @param {HTMLElement} row */
const nameOf = (row) => /** @type {HTMLInputElement} */ (inside(row, "[name=variants_name]")).value;

// ---- shares ---------------------------------------------------------------------------------

/** Shares by the place of their row, which is theirs while names are typed. */
function shares() {
  return Object.fromEntries(variantRows().map((row, index) => [String(index), Number(weightOf(row).value) || 0]));
}

/** @param {Record<string, number>} found @param {Element | null} [except] */
function writeShares(found, except) {
  variantRows().forEach((row, index) => {
    for (const control of [weightOf(row), sliderOf(row)]) if (control !== except) control.value = String(found[index]);
  });
  drawBar();
}

function drawBar() {
  const bar = document.getElementById("shares-bar");
  const found = shares();
  const sum = Object.values(found).reduce((total, share) => total + share, 0) || 1;
  const names = variantRows().map((row, index) => nameOf(row) || `variant ${index + 1}`);
  const parts = Object.fromEntries(names.map((name, index) => [name, (100 * found[index]) / sum]));
  bar?.replaceChildren(barOf(parts, names));
}

/** @param {HTMLElement} row */
function openShares(row) {
  const [slider, exact] = [sliderOf(row), weightOf(row)];
  slider.hidden = false;
  slider.value = exact.value;
  for (const control of [slider, exact])
    control.addEventListener("input", () => writeShares(moveShare(shares(), String(variantRows().indexOf(row)), Number(control.value)), control));
  inside(row, "[name=variants_name]").addEventListener("input", drawBar);
}

// ---- patches --------------------------------------------------------------------------------

/** @param {HTMLElement} row */
function openPatch(row) {
  const area = /** @type {HTMLTextAreaElement | null} */ (row.querySelector("textarea"));
  if (!area) return;
  const shown = /** @type {HTMLElement} */ (inside(row, ".p-patch-preview"));
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let asking = new AbortController();
  const look = async () => {
    asking.abort();
    asking = new AbortController();
    if (!area.value.trim()) return shown.replaceChildren();
    const data = new FormData();
    data.set("patch", area.value);
    const answer = await post(form, form.dataset.previewUrl ?? "", data, asking.signal);
    if (answer.outcome === "ok") showPreview(shown, answer.data);
    else if (answer.outcome !== "aborted") shown.replaceChildren(element("p", "p-wrong", problemOf(answer)));
  };
  const changed = cm.EditorView.updateListener.of((update) => {
    if (!update.docChanged) return;
    area.value = update.state.doc.toString();
    row.querySelector(".p-patch-problem")?.remove();
    clearTimeout(timer);
    timer = setTimeout(look, LOOK_AFTER);
  });
  const extensions = [
    cm.lineNumbers(),
    cm.history(),
    cm.keymap.of([...cm.defaultKeymap, ...cm.historyKeymap]),
    cm.EditorView.lineWrapping,
    cm.EditorView.contentAttributes.of({ "aria-label": area.getAttribute("aria-label") ?? "" }),
    cm.placeholder(area.placeholder),
    language("yaml"),
    theme(),
    changed,
  ];
  area.hidden = true;
  area.after(Object.assign(element("div", "p-patch-editor", "")));
  const parent = /** @type {HTMLElement} */ (area.nextElementSibling);
  new cm.EditorView({ parent, state: cm.EditorState.create({ doc: area.value, extensions }) });
  if (!row.querySelector(".p-patch-problem")) look();
}

/** @param {import("./server.js").Answer} answer */
function problemOf(answer) {
  const [first] = answer.data.errors ?? [];
  if (answer.outcome !== "refused" || !first) return why(answer);
  const at = first.line ? `Line ${first.line}: ` : first.pointer ? `${first.pointer} ` : "";
  return `${at}${first.message}`;
}

/**
 * @param {HTMLElement} shown
 * @param {{changes: {key: string, kind: string, old: string, new: string}[] | null, before: string, after: string, refusal?: string}} data
 */
function showPreview(shown, data) {
  if (data.refusal) return shown.replaceChildren(element("p", "p-wrong", data.refusal));
  if (!data.changes) return shown.replaceChildren();
  if (!data.changes.length) return shown.replaceChildren(element("p", "muted", "The same as what is live."));
  const list = element("ul", "p-changelist", "");
  list.append(...data.changes.slice(0, MOST_CHANGES).map(changeLine));
  const more = document.createElement("details");
  more.className = "p-more";
  const beside = element("div", "p-diff", "");
  more.append(element("summary", "", `${plural(data.changes.length, "change")} against live, side by side`), beside);
  more.addEventListener("toggle", () => {
    if (more.open && !beside.childElementCount) showDifference(beside, data.before, data.after, "yaml", { before: "Live", after: "In this variant" });
  });
  const wasOpen = shown.querySelector("details")?.open ?? false;
  shown.replaceChildren(list, more);
  more.open = wasOpen;
}

/** @param {{key: string, kind: string, old: string, new: string}} change */
function changeLine(change) {
  const line = element("li", change.kind, "");
  line.append(element("span", "badge", change.kind), " ", element("code", "", change.key), " ");
  if (change.old) line.append(element("del", "", change.old), " ");
  if (change.new) line.append(element("ins", "", change.new));
  return line;
}

// ---- rows -----------------------------------------------------------------------------------

/**
 * @param {string} id
 * @returns {HTMLElement}
 */
function copyOf(id) {
  const template = /** @type {HTMLTemplateElement} */ (document.getElementById(id));
  return /** @type {HTMLElement} */ (template.content.firstElementChild?.cloneNode(true));
}

/** @param {string} group */
function limit(group) {
  const set = document.getElementById(group);
  const count = set?.querySelectorAll(`.p-${group === "variants" ? "variant" : "metric"}-row`).length ?? 0;
  const button = /** @type {HTMLButtonElement | null} */ (set?.querySelector(":scope > button"));
  if (button) button.disabled = count >= Number(set?.dataset.most);
  const fewest = group === "variants" ? 2 : 0;
  for (const drop of /** @type {NodeListOf<HTMLButtonElement>} */ (set?.querySelectorAll(".p-drop") ?? [])) drop.disabled = count <= fewest;
}

function addVariant() {
  const row = copyOf("variant-template");
  rows?.append(row);
  const count = variantRows().length;
  weightOf(row).value = "0";
  openVariant(row);
  writeShares(moveShare(shares(), String(count - 1), Math.round(10000 / count) / 100));
  limit("variants");
  /** @type {HTMLElement} */ (inside(row, "[name=variants_name]")).focus();
}

/** @param {HTMLElement} row */
function openVariant(row) {
  openShares(row);
  openPatch(row);
  row.querySelector(".p-drop")?.addEventListener("click", () => {
    const left = moveShare(shares(), String(variantRows().indexOf(row)), 0);
    const index = variantRows().indexOf(row);
    row.remove();
    const kept = Object.entries(left).filter(([at]) => Number(at) !== index);
    writeShares(Object.fromEntries(kept.map(([, share], at) => [String(at), share])));
    limit("variants");
  });
}

/** @param {HTMLElement} row */
function openMetric(row) {
  row.querySelector(".p-drop")?.addEventListener("click", () => {
    row.remove();
    limit("metrics");
  });
}

function addMetric() {
  const row = copyOf("metric-template");
  metrics?.append(row);
  openMetric(row);
  limit("metrics");
  /** @type {HTMLElement} */ (inside(row, "input")).focus();
}

// ---- the audience ---------------------------------------------------------------------------

function openAudience() {
  const area = document.getElementById("audience");
  const text = /** @type {HTMLInputElement | null} */ (document.getElementById("audience-text"));
  if (!area || !text) return;
  const attributes = (form.dataset.attributes ?? "").split(" ");
  const draw = () => {
    area.querySelector(".p-flag-when")?.remove();
    try {
      JSON.parse(text.value || "{}");
    } catch {
      text.hidden = false; // to be mended by hand
      return;
    }
    text.hidden = true;
    const act = (/** @type {string} */ when) => {
      const before = rowsOf(text.value)?.length;
      text.value = when;
      if (rowsOf(when)?.length !== before) draw(); // else the field that is being used would go
    };
    area.append(conditionField({ when: text.value === "{}" ? "" : text.value, segments: [], place: "audience", isReadOnly: false, act, attributes }));
  };
  text.addEventListener("change", draw);
  draw();
}

if (rows && metrics) {
  variantRows().forEach(openVariant);
  drawBar();
  for (const row of /** @type {HTMLCollectionOf<HTMLElement>} */ (metrics.children)) openMetric(row);
  document.getElementById("add-variant")?.addEventListener("click", addVariant);
  document.getElementById("add-metric")?.addEventListener("click", addMetric);
  for (const group of ["variants", "metrics"]) limit(group);
  openAudience();
}
