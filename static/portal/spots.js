// Where in a document the cursor is: inside which keys, and whether a key or a value is wanted.
// Works on text that is being typed, so it reads what is there and expects nothing to be complete.

/**
 * `path` holds the keys around the cursor (`null` for a list's item), `from` where the word that
 * is being typed begins (with its quote, if any), `siblings` the keys that are there already.
 * @typedef {{path: (string | null)[], wants: "key" | "value", from: number, siblings: Set<string>}} Spot
 */

/** @type {Record<string, (text: string, position: number) => Spot | null>} */
const READERS = { json: inJson, yaml: inYaml, toml: inToml, xml: inXml, properties: inFlat, env: inFlat };

/**
 * @param {string} format
 * @param {string} text
 * @param {number} position
 * @returns {Spot | null} `null` where nothing sensible can be offered (a comment, a block of text)
 */
export function spotAt(format, text, position) {
  return READERS[format]?.(text, position) ?? null;
}

// ---- JSON, and YAML's flow style -------------------------------------------------------------

/** @typedef {{isObject: boolean, key: string | null, atKey: boolean, keys: Set<string>}} Open */

const FLOW_TOKEN = /"(?:[^"\\\n]|\\.)*"?|'(?:[^'\n]|'')*'?|[{}[\],:]|[^\s{}[\],:"']+/g;

/**
 * @param {string} text
 * @param {number} position
 * @returns {Spot | null}
 */
function inJson(text, position) {
  return inFlow(text, position, 0, [], null);
}

/**
 * @param {string} text from the flow's beginning
 * @param {number} position within `text`
 * @param {number} offset where `text` is in the document
 * @param {(string | null)[]} above the keys around the flow
 * @param {null} initial
 * @returns {Spot | null}
 */
function inFlow(text, position, offset, above, initial) {
  /** @type {Open[]} */
  const open = [];
  /** @type {Spot | null} */
  let spot = initial;
  let container = /** @type {Open | undefined} */ (undefined);
  for (const match of text.matchAll(FLOW_TOKEN)) {
    const token = match[0];
    const isWord = !"{}[],:".includes(token);
    if (!spot && match.index + (isWord ? token.length : 0) >= position) {
      const from = isWord && match.index < position ? match.index : position;
      container = open.at(-1);
      spot = describe(open, above, from + offset);
    }
    if (spot && container && !open.includes(container)) break;
    take(open, token, isWord && match.index < position && match.index + token.length >= position);
  }
  return spot ?? describe(open, above, position + offset);
}

/**
 * @param {Open[]} open
 * @param {(string | null)[]} above
 * @param {number} from
 * @returns {Spot | null}
 */
function describe(open, above, from) {
  const inner = open.at(-1);
  if (!inner) return null;
  const wantsKey = inner.isObject && inner.atKey;
  const path = open.map((each) => (each.isObject ? each.key : null));
  if (wantsKey) path.pop();
  return { path: [...above, ...path], wants: wantsKey ? "key" : "value", from, siblings: inner.keys };
}

/**
 * @param {Open[]} open
 * @param {string} token
 * @param {boolean} isTyped the word under the cursor, which is no sibling of itself
 */
function take(open, token, isTyped) {
  const inner = open.at(-1);
  if (token === "{" || token === "[") {
    open.push({ isObject: token === "{", key: null, atKey: token === "{", keys: new Set() });
  } else if (token === "}" || token === "]") {
    open.pop();
  } else if (token === ",") {
    if (inner) inner.atKey = inner.isObject;
  } else if (token === ":") {
    if (inner) inner.atKey = false;
  } else if (inner?.atKey) {
    inner.key = unquote(token);
    if (!isTyped) inner.keys.add(inner.key);
  }
}

/** @param {string} word */
function unquote(word) {
  return word.replace(/^["']|["']$/g, "");
}

// ---- YAML ---------------------------------------------------------------------------------------

const YAML_LINE = /^( *)((?:- +)*)(?:("[^"]*"|'[^']*'|[^\s"'#{}[\],][^#:{}[\],]*?)\s*:(?=\s|$)\s*(.*))?/;

/**
 * One line: the column of each dash, of the key, the key, and what follows it.
 * @param {string} line
 */
function readYamlLine(line) {
  const match = /** @type {RegExpMatchArray} */ (line.match(YAML_LINE));
  const dashes = [...match[2].matchAll(/-/g)].map((each) => match[1].length + each.index);
  const column = match[1].length + match[2].length;
  return { dashes, column, key: match[3] === undefined ? null : unquote(match[3]), rest: match[4] ?? "", isBlank: /^\s*(#.*)?$/.test(line) };
}

/**
 * @param {string} text
 * @param {number} position
 * @returns {Spot | null}
 */
function inYaml(text, position) {
  const start = text.lastIndexOf("\n", position - 1) + 1;
  const head = text.slice(start, position);
  const number = text.slice(0, start).split("\n").length - 1;
  const lines = text.split("\n");
  if (/(^|\s)#/.test(head)) return null;
  const here = readYamlLine(head);
  const around = yamlPath(lines, number, here);
  if (!around) return null;
  if (here.key === null) {
    const flow = head.slice(here.column).search(/[{[]/);
    if (flow === 0) return inFlow(head.slice(here.column), position - start - here.column, start + here.column, around, null);
    const siblings = yamlSiblings(lines, number, here);
    return { path: around, wants: "key", from: start + here.column, siblings };
  }
  const value = head.length - here.rest.length;
  const path = [...around, here.key];
  if (/^[{[]/.test(here.rest)) return inFlow(here.rest, here.rest.length, start + value, path, null);
  return { path, wants: "value", from: start + value, siblings: new Set() };
}

/**
 * The keys above a line, by indentation; `null` inside a block of text.
 * @param {string[]} lines
 * @param {number} number
 * @param {ReturnType<typeof readYamlLine>} here
 * @returns {(string | null)[] | null}
 */
function yamlPath(lines, number, here) {
  /** @type {(string | null)[]} */
  const path = [];
  const state = { column: here.column, isItem: false };
  climbDashes(path, state, here.dashes);
  for (let at = number - 1; at >= 0 && (state.column > 0 || state.isItem); at--) {
    const line = readYamlLine(lines[at]);
    if (line.isBlank) continue;
    const isParent = line.column < state.column || (state.isItem && line.column === state.column && !line.dashes.length);
    if (isParent && line.key !== null) {
      if (/^[|>]/.test(line.rest)) return null;
      path.unshift(line.key);
      Object.assign(state, { column: line.column, isItem: false });
    }
    if (line.column === state.column || isParent) climbDashes(path, state, line.dashes);
  }
  return path;
}

/**
 * @param {(string | null)[]} path
 * @param {{column: number, isItem: boolean}} state
 * @param {number[]} dashes
 */
function climbDashes(path, state, dashes) {
  for (const dash of [...dashes].reverse()) {
    if (dash >= state.column) continue;
    path.unshift(null);
    Object.assign(state, { column: dash, isItem: true });
  }
}

/**
 * @param {string[]} lines
 * @param {number} number
 * @param {ReturnType<typeof readYamlLine>} here
 */
function yamlSiblings(lines, number, here) {
  /** @type {Set<string>} */
  const found = new Set();
  for (const step of here.dashes.length ? [1] : [-1, 1]) {
    for (let at = number + step; at >= 0 && at < lines.length; at += step) {
      const line = readYamlLine(lines[at]);
      if (line.isBlank) continue;
      if (line.column < here.column || (step === 1 && line.dashes.some((dash) => dash < here.column))) break;
      if (line.column === here.column && line.key !== null) found.add(line.key);
      if (step === -1 && line.dashes.some((dash) => dash < here.column)) break;
    }
  }
  return found;
}

// ---- TOML ---------------------------------------------------------------------------------------

/**
 * @param {string} text
 * @param {number} position
 * @returns {Spot | null}
 */
function inToml(text, position) {
  const start = text.lastIndexOf("\n", position - 1) + 1;
  const head = text.slice(start, position);
  if (/(^|\s)#/.test(head)) return null;
  const header = head.match(/^\s*(\[\[?)\s*([^\]]*)$/);
  if (header) return dotted(header[2], position, [], new Set());
  const { table, keys } = tomlTable(text, start);
  const pair = head.match(/^\s*([^=]*?)\s*=\s*(.*)$/);
  if (!pair) return dotted(head.trimStart(), position, table, keys);
  return { path: [...table, ...steps(pair[1])], wants: "value", from: position - pair[2].length, siblings: new Set() };
}

/**
 * The table that a line is in, and the keys that it has.
 * @param {string} text
 * @param {number} start
 */
function tomlTable(text, start) {
  /** @type {(string | null)[]} */
  let table = [];
  /** @type {Set<string>} */
  let keys = new Set();
  let at = 0;
  for (const line of text.split("\n")) {
    const header = line.match(/^\s*(\[\[?)\s*([^\]]+)\]/);
    if (header && at > start) break;
    if (header) {
      table = header[1] === "[[" ? [...steps(header[2]), null] : steps(header[2]);
      keys = new Set();
    } else if (at !== start) {
      const key = line.match(/^\s*([^\s=#.]+)\s*=/);
      if (key) keys.add(unquote(key[1]));
    }
    at += line.length + 1;
  }
  return { table, keys };
}

/**
 * @param {string} word a dotted key that is being typed
 * @param {number} position
 * @param {(string | null)[]} above
 * @param {Set<string>} siblings
 * @returns {Spot}
 */
function dotted(word, position, above, siblings) {
  const before = steps(word.slice(0, word.lastIndexOf(".") + 1));
  const last = word.slice(word.lastIndexOf(".") + 1);
  return { path: [...above, ...before], wants: "key", from: position - last.length, siblings };
}

/** @param {string} text */
function steps(text) {
  return text.split(".").map((each) => unquote(each.trim())).filter(Boolean);
}

// ---- XML and flat files ----------------------------------------------------------------------------

/**
 * @param {string} text
 * @param {number} position
 * @returns {Spot | null}
 */
function inXml(text, position) {
  const head = text.slice(0, position);
  /** @type {string[]} */
  const open = [];
  for (const [, closing, name, single] of head.matchAll(/<(\/?)([\w.-]+)[^<>]*?(\/?)>/g)) {
    if (closing) open.pop();
    else if (!single) open.push(name);
  }
  const path = open.slice(1).map((name) => (name === "item" ? null : name));
  const tag = head.match(/<([\w.-]*)$/);
  if (tag) return { path, wants: "key", from: position - tag[1].length, siblings: new Set() };
  const value = /** @type {RegExpMatchArray} */ (head.match(/[^<>]*$/))[0].trimStart();
  return open.length ? { path, wants: "value", from: position - value.length, siblings: new Set() } : null;
}

/**
 * @param {string} text
 * @param {number} position
 * @returns {Spot | null}
 */
function inFlat(text, position) {
  const start = text.lastIndexOf("\n", position - 1) + 1;
  const head = text.slice(start, position);
  if (/^\s*[#!]/.test(head) || /[=:]/.test(head)) return null;
  const keys = [...text.matchAll(/^[ \t]*([^\s=:#!]+)[ \t]*[=:]/gm)].map((each) => each[1]);
  return { path: [], wants: "key", from: start + head.length - head.trimStart().length, siblings: new Set(keys) };
}
