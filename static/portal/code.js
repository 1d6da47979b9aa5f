// The code editor's common part: languages, colours that follow the theme, extensions.
import * as cm from "../vendor/codemirror/codemirror.js";

const { tags } = cm;
const light = cm.HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName), tags.tagName], color: "#0b5cad" },
  { tag: [tags.string, tags.attributeValue], color: "#0f7b46" },
  { tag: [tags.number, tags.bool, tags.null, tags.atom, tags.keyword], color: "#a1460a" },
  { tag: tags.comment, color: "#7a8494", fontStyle: "italic" },
  { tag: [tags.meta, tags.labelName], color: "#7a3fb0" },
]);
const dark = cm.HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName), tags.tagName], color: "#7cc4ff" },
  { tag: [tags.string, tags.attributeValue], color: "#8fdcaf" },
  { tag: [tags.number, tags.bool, tags.null, tags.atom, tags.keyword], color: "#f5b37a" },
  { tag: tags.comment, color: "#7f8b9e", fontStyle: "italic" },
  { tag: [tags.meta, tags.labelName], color: "#cda4f4" },
]);
const shape = cm.EditorView.theme({
  ".cm-content, .cm-gutters": { fontFamily: "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" },
  ".cm-gutters": { background: "transparent", border: "none", color: "#8a94a5" },
});
const night = cm.EditorView.theme(
  {
    "&": { color: "#d7dde7" },
    ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "#ffffff0a" },
    ".cm-cursor": { borderLeftColor: "#d7dde7" },
    "&.cm-focused .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "#2c4a6e !important" },
    ".cm-tooltip, .cm-panels": { backgroundColor: "#1b2230", color: "#d7dde7", border: "1px solid #2d3644" },
    ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "#2c4a6e" },
  },
  { dark: true },
);

/** The language of a format's name. */
export function language(format) {
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
const colours = () => (isDark() ? [night, cm.syntaxHighlighting(dark)] : [cm.syntaxHighlighting(light)]);

/** A compartment with the theme's colours, and a function that keeps a view in step with it. */
export function theme() {
  const part = new cm.Compartment();
  const follow = (view) =>
    new MutationObserver(() => view.dispatch({ effects: part.reconfigure(colours()) })).observe(
      document.documentElement,
      { attributeFilter: ["class"] },
    );
  return { extension: [shape, part.of(colours())], follow };
}

/** Both sides of a difference: side by side where there is room, else one above the other. */
export function showDifference(parent, before, after, format) {
  parent.replaceChildren();
  const common = () => {
    const { extension } = theme();
    return [cm.lineNumbers(), cm.EditorState.readOnly.of(true), cm.EditorView.lineWrapping, language(format), extension];
  };
  if (parent.clientWidth > 720) {
    return new cm.MergeView({
      a: { doc: before, extensions: common() },
      b: { doc: after, extensions: common() },
      parent,
      collapseUnchanged: { margin: 3, minSize: 6 },
    });
  }
  return new cm.EditorView({
    parent,
    doc: after,
    extensions: [...common(), cm.unifiedMergeView({ original: before, mergeControls: false, collapseUnchanged: { margin: 3, minSize: 6 } })],
  });
}

export { cm };
