// What can be typed at the cursor: keys and values from the sections' schemas and from what is live.
import { cm } from "./code.js";
import { spotAt } from "./spots.js";

/** What holds for a top-level key: the service's own `schema`, and the `shape` of its type.
 * @typedef {{type: string, about: string, description: string, schema: any, shape: any}} Section
 */
/** @typedef {{name: string, detail: string, info: string, values: string}} Member */
/** A schema, the document that its references are in, and whether that is the shape of a type.
 * @typedef {{schema: any, root: any, isShape?: boolean}} Rooted
 */
/** @typedef {import("../vendor/codemirror/codemirror.js").Completion} Completion */
/** @typedef {import("../vendor/codemirror/codemirror.js").CompletionContext} CompletionContext */
/** @typedef {import("../vendor/codemirror/codemirror.js").EditorView} EditorView */

const DEEPEST_REFERENCE = 16;
const LAST_CHARACTER = /[\w.$-]/;

/**
 * The source of completions.
 * @param {Record<string, Section>} sections by top-level key
 * @param {any} known the live effective document
 * @param {() => string} format
 */
export function completions(sections, known, format) {
  /** @param {CompletionContext} context */
  return (context) => {
    const spot = spotAt(format(), context.state.doc.toString(), context.pos);
    if (!spot) return null;
    const typed = context.state.sliceDoc(spot.from, context.pos).replace(/^["']/, "");
    const isAsked = context.explicit || LAST_CHARACTER.test(typed.at(-1) ?? "");
    if (!isAsked || /\s/.test(typed)) return null;
    const find = format() === "properties" || format() === "env" ? flatKeys : spot.wants === "key" ? keys : values;
    const options = find({ sections, known, spot, format: format(), isBare: typed === "" });
    return options.length ? { from: spot.from, options, filter: true, validFor: /^["']?[\w.$-]+$/ } : null;
  };
}

/** @typedef {{sections: Record<string, Section>, known: any, spot: import("./spots.js").Spot, format: string, isBare: boolean}} Question */

// ---- keys -------------------------------------------------------------------------------------

/**
 * @param {Question} question
 * @returns {Completion[]}
 */
function keys({ sections, known, spot, format }) {
  /** @type {Map<string, Completion>} */
  const found = new Map();
  /** @param {string} name @param {Partial<Completion>} more */
  const add = (name, more) => {
    if (!spot.siblings.has(name) && !found.has(name)) found.set(name, { label: name, type: "property", ...more });
  };
  if (!spot.path.length) {
    for (const [name, section] of Object.entries(sections)) add(name, { detail: section.type, info: section.description || undefined, boost: 2 });
  }
  for (const { name, detail, info } of membersAt(sections, spot.path)) {
    add(name, { detail, info: info || undefined, boost: detail.endsWith("required") ? 2 : 1 });
  }
  for (const tree of treesAt(known, spot.path)) {
    if (isObject(tree)) Object.keys(tree).forEach((name) => add(name, { detail: "live" }));
  }
  return [...found.values()].map((each) => ({
    ...each,
    label: format === "json" ? JSON.stringify(each.label) : each.label,
    displayLabel: each.label,
    apply: applyKey(each.label, format, holdsKeys(sections, known, [...spot.path, each.label])),
  }));
}

/**
 * What the schemas name at `path`, each once: the service's own first, without what it refuses. What
 * the type says of a member stands in where the service's own schema is silent.
 * @param {Record<string, Section>} sections
 * @param {(string | null)[]} path
 * @returns {Member[]}
 */
export function membersAt(sections, path) {
  /** @type {Map<string, Member>} */
  const found = new Map();
  const isClosed = isClosedAt(sections, path);
  for (const { schema, root, isShape } of schemasAt(sections, path)) {
    for (const [name, child] of Object.entries(schema.properties ?? {})) {
      const known = found.get(name);
      if (!known && isShape && isClosed) continue;
      const told = expand({ schema: child, root }).find((each) => each.schema.type || each.schema.enum)?.schema ?? {};
      const info = child.description ?? told.description ?? "";
      const values = (told.enum ?? told.examples ?? []).map((/** @type {unknown} */ each) => (typeof each === "string" ? each : JSON.stringify(each))).join(", ");
      const detail = [kindOf(told), schema.required?.includes(name) ? "required" : ""].filter(Boolean).join(", ");
      found.set(name, known ? { ...known, info: known.info || info, values: known.values || values } : { name, detail, info, values });
    }
  }
  return [...found.values()];
}

/**
 * Whether the service's own schema takes no members at `path` but those that it names.
 * @param {Record<string, Section>} sections
 * @param {(string | null)[]} path
 */
function isClosedAt(sections, path) {
  return schemasAt(sections, path).some(({ schema, isShape }) => !isShape && schema.additionalProperties === false);
}

/** @param {any} schema */
function kindOf(schema) {
  return schema.enum ? "one of a list" : [schema.type ?? ""].flat().join(" or ");
}

/**
 * @param {Record<string, Section>} sections
 * @param {any} known
 * @param {(string | null)[]} path
 */
function holdsKeys(sections, known, path) {
  const trees = treesAt(known, path);
  if (trees.length) return trees.some(isObject);
  return schemasAt(sections, path).some(({ schema }) => schema.type === "object" || schema.properties);
}

/**
 * Puts a key in as its format writes it, and asks for its value at once.
 * @param {string} name
 * @param {string} format
 * @param {boolean} isParent
 */
function applyKey(name, format, isParent) {
  /** @param {EditorView} view @param {Completion} picked @param {number} from @param {number} to */
  return (view, picked, from, to) => {
    const { state } = view;
    const line = state.doc.lineAt(to);
    const rest = state.sliceDoc(to, line.to);
    const end = format === "json" && rest.startsWith('"') ? to + 1 : to;
    const inHeader = format === "toml" && /^\s*\[/.test(line.text);
    const inner = `\n${" ".repeat(from - line.from + 2)}`;
    const isFollowed = /^["']?\s*[:=>]/.test(rest);
    const written = format === "json" ? JSON.stringify(name) : /^[\w-]+$/.test(name) ? name : format === "xml" ? name : JSON.stringify(name);
    const [before, after] = isFollowed || inHeader ? ["", ""] : around(format, name, isParent && !/\S/.test(rest), inner);
    view.dispatch({
      changes: { from, to: end, insert: written + before + after },
      selection: { anchor: from + written.length + before.length },
      annotations: cm.pickedCompletion.of(picked),
      userEvent: "input.complete",
    });
    if (before && !isParent) cm.startCompletion(view);
  };
}

/**
 * What is written between a key and the cursor, and after the cursor.
 * @param {string} format
 * @param {string} name
 * @param {boolean} isParent
 * @param {string} inner a line break with the indentation of the key's own keys
 * @returns {[string, string]}
 */
function around(format, name, isParent, inner) {
  if (format === "json") return [": ", ""];
  if (format === "yaml") return isParent ? [`:${inner}`, ""] : [": ", ""];
  if (format === "toml") return isParent ? [".", ""] : [" = ", ""];
  if (format === "xml") return [">", `</${name}>`];
  return ["=", ""];
}

/**
 * @param {Question} question
 * @returns {Completion[]}
 */
function flatKeys({ known, spot, format }) {
  /** @type {string[]} */
  const names = [];
  /** @param {any} tree @param {string} prefix */
  const walk = (tree, prefix) => {
    for (const [name, value] of Object.entries(tree)) {
      if (isObject(value)) walk(value, `${prefix}${name}${format === "env" ? "__" : "."}`);
      else names.push(prefix + name);
    }
  };
  if (isObject(known)) walk(known, "");
  return names
    .filter((name) => !spot.siblings.has(name))
    .map((label) => ({ label, type: "property", detail: "live", apply: applyKey(label, "flat", false) }));
}

// ---- values -----------------------------------------------------------------------------------

/**
 * Values that a schema names come as one types; what is live, defaults and examples only when
 * nothing is typed yet, so that Enter after a number never takes another one.
 * @param {Question} question
 * @returns {Completion[]}
 */
function values({ sections, known, spot, format, isBare }) {
  /** @type {Map<string, Completion>} */
  const found = new Map();
  /** @param {unknown} value @param {string} detail @param {string} type */
  const add = (value, detail, type) => {
    const label = isObject(value) || Array.isArray(value) ? null : written(value, format);
    if (label !== null && !found.has(label)) found.set(label, { label, type, detail, apply: applyValue });
  };
  for (const { schema } of schemasAt(sections, spot.path)) {
    for (const value of schema.enum ?? []) add(value, "", "enum");
    if ("const" in schema) add(schema.const, "", "enum");
    if ([schema.type].flat().includes("boolean")) [true, false].forEach((each) => add(each, "", "keyword"));
    if (isBare && "default" in schema) add(schema.default, "default", "constant");
    if (isBare) (schema.examples ?? []).forEach((/** @type {unknown} */ each) => add(each, "example", "constant"));
  }
  for (const value of treesAt(known, spot.path)) {
    if (typeof value === "boolean") [true, false].forEach((each) => add(each, "", "keyword"));
    else if (isBare) add(value, "live", "constant");
  }
  return [...found.values()];
}

/** Puts a value in, over the closing quote that typing an opening one has brought.
 * @param {EditorView} view @param {Completion} picked @param {number} from @param {number} to
 */
function applyValue(view, picked, from, to) {
  const isQuoted = picked.label.startsWith('"') && view.state.sliceDoc(to, to + 1) === '"';
  view.dispatch({
    changes: { from, to: isQuoted ? to + 1 : to, insert: picked.label },
    selection: { anchor: from + picked.label.length },
    annotations: cm.pickedCompletion.of(picked),
    userEvent: "input.complete",
  });
}

/**
 * A plain value as its format writes it; `null` when it cannot.
 * @param {unknown} value
 * @param {string} format
 */
function written(value, format) {
  if (value === null && format === "toml") return null;
  if (format === "xml") return String(value).replace(/&/g, "&amp;").replace(/</g, "&lt;");
  const isPlain = format === "yaml" && typeof value === "string" && /^[A-Za-z_/][\w./-]*$/.test(value) && !/^(true|false|null)$/i.test(value);
  return isPlain ? /** @type {string} */ (value) : JSON.stringify(value);
}

// ---- walking schemas and documents -----------------------------------------------------------------

/**
 * Every schema that speaks of `path`.
 * @param {Record<string, Section>} sections
 * @param {(string | null)[]} path
 * @returns {Rooted[]}
 */
function schemasAt(sections, path) {
  const [key, ...rest] = path;
  const section = typeof key === "string" ? sections[key] : undefined;
  if (!section) return [];
  const start = [
    ...expand({ schema: section.schema, root: section.schema }),
    ...expand({ schema: section.shape, root: section.shape, isShape: true }),
  ];
  return rest.reduce((found, step) => found.flatMap((each) => below(each, step)), start);
}

/**
 * @param {Rooted} rooted
 * @param {string | null} step
 * @returns {Rooted[]}
 */
function below({ schema, root, isShape }, step) {
  const children = step === null ? [schema.items, ...(schema.prefixItems ?? [])] : [schema.properties?.[step] ?? schema.additionalProperties];
  return children.filter(isObject).flatMap((child) => expand({ schema: child, root, isShape }));
}

/**
 * A schema with those that it refers to and combines.
 * @param {Rooted} rooted
 * @param {number} [depth]
 * @returns {Rooted[]}
 */
function expand({ schema, root, isShape }, depth = 0) {
  if (!isObject(schema) || depth > DEEPEST_REFERENCE) return [];
  const combined = [...(schema.allOf ?? []), ...(schema.anyOf ?? []), ...(schema.oneOf ?? []), schema.then, schema.else];
  const referred = typeof schema.$ref === "string" && schema.$ref.startsWith("#") ? [resolve(root, schema.$ref)] : [];
  return [{ schema, root, isShape }, ...[...combined, ...referred].flatMap((each) => expand({ schema: each, root, isShape }, depth + 1))];
}

/**
 * @param {any} root
 * @param {string} reference a JSON Pointer (RFC 6901) after `#`
 */
function resolve(root, reference) {
  const names = reference.split("/").slice(1).map((each) => decodeURIComponent(each).replace(/~1/g, "/").replace(/~0/g, "~"));
  return names.reduce((tree, name) => tree?.[name], root);
}

/**
 * What the document has at `path`; for an item of a list, every item.
 * @param {any} tree
 * @param {(string | null)[]} path
 * @returns {any[]}
 */
function treesAt(tree, path) {
  /** @type {any[]} */
  let found = [tree];
  for (const step of path) {
    found = found.flatMap((each) => (step === null ? (Array.isArray(each) ? each : []) : isObject(each) && Object.hasOwn(each, step) ? [each[step]] : []));
  }
  return found;
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, any>}
 */
function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
