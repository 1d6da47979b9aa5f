// The code editor's common part: languages, colours that follow the theme, comparisons.
import * as cm from "../vendor/codemirror/codemirror.js";

const { tags } = cm;
const ROOM_FOR_TWO = 720;
const light = cm.HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName), tags.tagName], color: "#0b5cad" },
  { tag: [tags.string, tags.attributeValue], color: "#0f7b46" },
  { tag: [tags.number, tags.bool, tags.null, tags.atom, tags.keyword], color: "#a1460a" },
  { tag: tags.comment, color: "#667085", fontStyle: "italic" },
  { tag: [tags.meta, tags.labelName], color: "#7a3fb0" },
]);
const dark = cm.HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName), tags.tagName], color: "#7cc4ff" },
  { tag: [tags.string, tags.attributeValue], color: "#8fdcaf" },
  { tag: [tags.number, tags.bool, tags.null, tags.atom, tags.keyword], color: "#f5b37a" },
  { tag: tags.comment, color: "#8a97ab", fontStyle: "italic" },
  { tag: [tags.meta, tags.labelName], color: "#cda4f4" },
]);
const shape = cm.EditorView.theme({
  ".cm-content, .cm-gutters": { fontFamily: "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" },
  ".cm-gutters": { background: "transparent", border: "none", color: "#7b8698" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "#0b72b50d" },
  ".cm-tooltip": { borderRadius: "6px", overflow: "hidden" },
  ".cm-tooltip-autocomplete .cm-completionDetail": { fontStyle: "normal", opacity: "0.7", float: "right", paddingLeft: "16px" },
  ".cm-panels button, .cm-panels input": { fontSize: "13px" },
  ".cm-collapsedLines": { padding: "4px 10px" },
  ".cm-collapsedLines:before, .cm-collapsedLines:after": { content: '"⋯"' },
});
const day = cm.EditorView.theme({
  ".cm-collapsedLines": { background: "#eef1f5", color: "#475467" },
});
const night = cm.EditorView.theme(
  {
    "&": { color: "#d7dde7" },
    ".cm-gutters": { color: "#8a97ab" },
    ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "#ffffff0a" },
    ".cm-cursor": { borderLeftColor: "#d7dde7" },
    "&.cm-focused .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "#2c4a6e !important" },
    ".cm-tooltip, .cm-panels": { backgroundColor: "#1b2230", color: "#d7dde7", border: "1px solid #2d3644" },
    ".cm-panels button": { backgroundImage: "none", backgroundColor: "#2d3644", color: "#d7dde7", border: "1px solid #465267" },
    ".cm-panels input": { backgroundColor: "#12161f", color: "#d7dde7" },
    ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "#2c4a6e", color: "#fff" },
    ".cm-foldPlaceholder": { backgroundColor: "#2d3644", border: "none", color: "#d7dde7" },
    ".cm-collapsedLines": { background: "#1f2836", color: "#a9b4c4" },
  },
  { dark: true },
);

/** The language of a format's name.
 * @param {string} format
 */
export function language(format) {
  /** @type {Record<string, () => import("../vendor/codemirror/codemirror.js").Extension>} */
  const known = {
    json: () => cm.json(),
    yaml: () => cm.yaml(),
    xml: () => cm.xml(),
    toml: () => cm.StreamLanguage.define(cm.toml),
    properties: () => cm.StreamLanguage.define(cm.properties),
    env: () => cm.StreamLanguage.define(cm.properties),
  };
  return (known[format] ?? known.yaml)();
}

const isDark = () => document.documentElement.classList.contains("dark");
const colours = () => (isDark() ? [night, cm.syntaxHighlighting(dark)] : [day, cm.syntaxHighlighting(light)]);

/** Colours in step with the page's theme, for as long as the editor is on the page. */
export function theme() {
  const part = new cm.Compartment();
  const follow = cm.ViewPlugin.define((view) => {
    const observer = new MutationObserver(() => view.dispatch({ effects: part.reconfigure(colours()) }));
    observer.observe(document.documentElement, { attributeFilter: ["class"] });
    return { destroy: () => observer.disconnect() };
  });
  return [shape, part.of(colours()), follow];
}

/**
 * Two texts beside each other where there is room, else as one with what went and what came.
 * Follows the room that it has. Replaces what `parent` showed.
 * @param {HTMLElement} parent
 * @param {string} before
 * @param {string} after
 * @param {string} format
 * @param {{before: string, after: string}} [names]
 * @returns {{destroy(): void}}
 */
export function showDifference(parent, before, after, format, names = { before: "Before", after: "After" }) {
  /** @type {{destroy(): void} | undefined} */
  let shown;
  /** @type {boolean | undefined} */
  let isWide;
  const fit = () => {
    const wide = parent.clientWidth >= ROOM_FOR_TWO;
    if (wide === isWide || parent.clientWidth === 0) return;
    isWide = wide;
    shown?.destroy();
    parent.replaceChildren(heading(wide ? [names.before, names.after] : [`${names.before} → ${names.after}`]));
    shown = (wide ? sideBySide : inOne)(parent, before, after, format, names);
  };
  const observer = new ResizeObserver(fit);
  observer.observe(parent);
  fit();
  return {
    destroy() {
      observer.disconnect();
      shown?.destroy();
      parent.replaceChildren();
    },
  };
}

const collapseUnchanged = { margin: 3, minSize: 6 };
const diffConfig = { scanLimit: 1000, timeout: 500 };

/**
 * @param {string} format
 * @param {string} name
 */
function frozen(format, name) {
  return [
    cm.lineNumbers(),
    cm.EditorState.readOnly.of(true),
    cm.EditorView.lineWrapping,
    cm.EditorView.contentAttributes.of({ "aria-label": name }),
    language(format),
    theme(),
  ];
}

/** @type {(parent: HTMLElement, before: string, after: string, format: string, names: {before: string, after: string}) => {destroy(): void}} */
function sideBySide(parent, before, after, format, names) {
  return new cm.MergeView({
    a: { doc: before, extensions: frozen(format, names.before) },
    b: { doc: after, extensions: frozen(format, names.after) },
    parent,
    collapseUnchanged,
    diffConfig,
  });
}

/** @type {(parent: HTMLElement, before: string, after: string, format: string, names: {before: string, after: string}) => {destroy(): void}} */
function inOne(parent, before, after, format, names) {
  const merge = cm.unifiedMergeView({ original: before, mergeControls: false, collapseUnchanged, diffConfig });
  return new cm.EditorView({ parent, doc: after, extensions: [frozen(format, `${names.before} and ${names.after}`), merge] });
}

/** @param {string[]} titles */
function heading(titles) {
  const line = document.createElement("div");
  line.className = "p-diff-head";
  line.append(...titles.map((title) => Object.assign(document.createElement("span"), { textContent: title })));
  return line;
}

export { cm };
