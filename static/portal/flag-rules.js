// The two parts of a rule: a condition on the context, and shares that make a hundred.
import { element } from "./checking.js";
import { barOf, button, choice, input, isJson, labelled } from "./flag-card.js";

/** Operators by name: how people read them, and whether they take a list.
 * @type {Record<string, [string, boolean]>}
 */
const OPERATORS = {
  equals: ["is", false],
  not_equals: ["is not", false],
  one_of: ["is one of", true],
  none_of: ["is none of", true],
  less_than: ["<", false],
  at_most: ["≤", false],
  more_than: [">", false],
  at_least: ["≥", false],
  starts_with: ["starts with", true],
  ends_with: ["ends with", true],
  contains: ["contains", true],
  version: ["is a version in", false],
  after: ["is from", false],
  before: ["is before", false],
  exists: ["is there", false],
};

/** @typedef {{name: string, operator: string, value: unknown}} Row */

/**
 * A condition as rows of which all hold; `null` for one that is more than that.
 * @param {string} when JSON
 * @returns {Row[] | null}
 */
export function rowsOf(when) {
  const condition = when ? JSON.parse(when) : {};
  const rows = [];
  for (const [name, test] of Object.entries(condition)) {
    if (["any", "all", "not"].includes(name)) return null;
    if (name === "segment") rows.push({ name, operator: "one_of", value: [test].flat() });
    else if (Array.isArray(test)) rows.push({ name, operator: "one_of", value: test });
    else if (test === null || typeof test !== "object") rows.push({ name, operator: "equals", value: test });
    else for (const [operator, value] of Object.entries(test)) rows.push({ name, operator, value });
  }
  return rows.every((row) => row.operator in OPERATORS) ? rows : null;
}

/**
 * The condition of rows, as JSON; empty when there are none.
 * @param {Row[]} rows
 */
export function conditionOf(rows) {
  /** @type {Record<string, any>} */
  const condition = {};
  for (const { name, operator, value } of rows) {
    if (!name) continue;
    if (name === "segment") condition.segment = [value].flat();
    else condition[name] = { ...condition[name], [operator]: value };
  }
  for (const [name, test] of Object.entries(condition)) {
    const operators = name === "segment" ? [] : Object.keys(test);
    if (operators.length === 1 && (operators[0] === "equals" || operators[0] === "one_of")) condition[name] = test[operators[0]];
  }
  return Object.keys(condition).length ? JSON.stringify(condition) : "";
}

/**
 * What was typed as a value: JSON where it is some, else text; a list where the operator takes one.
 * @param {string} text
 * @param {string} operator
 */
export function valueOf(text, operator) {
  const [, isList] = OPERATORS[operator];
  if (isList) return text.split(",").map((each) => plain(each.trim(), operator)).filter((each) => each !== "");
  return plain(text.trim(), operator);
}

/**
 * @param {string} text
 * @param {string} operator
 */
function plain(text, operator) {
  if (["starts_with", "ends_with", "contains", "version", "after", "before"].includes(operator)) return text;
  if (operator === "exists") return text !== "false";
  try {
    const value = JSON.parse(text);
    return value !== null && typeof value === "object" ? text : value;
  } catch {
    return text;
  }
}

/** @param {unknown} value */
function shown(value) {
  if (Array.isArray(value)) return value.map(shown).join(", ");
  return typeof value === "string" && plain(value, "equals") === value ? value : JSON.stringify(value);
}

/**
 * @param {object} options
 * @param {string} options.when JSON, empty for everyone
 * @param {string[]} options.segments
 * @param {string} options.place
 * @param {boolean} options.isReadOnly
 * @param {(when: string) => void} options.act
 * @param {string[]} [options.attributes] all that there are; any name without
 */
export function conditionField({ when, segments, place, isReadOnly, act, attributes }) {
  const group = element("div", "p-flag-when", "");
  const rows = rowsOf(when);
  if (rows === null) {
    const field = input(when, `${place} when`, isReadOnly, (given) => isJson(given, field) && act(given));
    field.className = "code";
    group.append(labelled("Who", field));
    return group;
  }
  if (!rows.length) group.append(element("span", "muted", "Everyone"));
  rows.forEach((row, index) => {
    const line = element("div", "p-flag-row", "");
    const replace = (/** @type {Partial<Row>} */ part) => {
      Object.assign(row, part); // what comes next starts from what the fields say
      act(conditionOf(rows));
    };
    line.append(element("span", "muted", index ? "and" : "when"));
    const rename = (/** @type {string} */ given) => replace({ name: given.trim() });
    const name = attributes ? choice(attributes, row.name, `${place} name ${index}`, isReadOnly, rename) : input(row.name, `${place} name ${index}`, isReadOnly, rename);
    name.setAttribute("aria-label", "Attribute");
    line.append(name);
    const operators = row.name === "segment" ? ["one_of"] : Object.keys(OPERATORS);
    const operator = choice(operators, row.operator, `${place} operator ${index}`, isReadOnly, (given) => replace({ operator: given, value: valueOf(shown(row.value), given) }));
    for (const option of operator.options) option.textContent = OPERATORS[option.value]?.[0] ?? option.value;
    operator.setAttribute("aria-label", "Operator");
    line.append(operator);
    const value = input(shown(row.value), `${place} value ${index}`, isReadOnly, (given) => replace({ value: valueOf(given, row.operator) }));
    value.setAttribute("aria-label", "Value");
    if (row.name === "segment") value.placeholder = segments.join(", ");
    line.append(value);
    if (!isReadOnly) line.append(button("×", `${place} drop ${index}`, () => act(conditionOf(rows.filter((_each, at) => at !== index)))));
    group.append(line);
  });
  if (!isReadOnly) {
    const more = element("div", "p-flag-row", "");
    more.append(button("Add a condition", `${place} more`, () => act(conditionOf([...rows, { name: attributes?.find((each) => !rows.some((row) => row.name === each)) ?? attributes?.[0] ?? fresh(rows), operator: "equals", value: "value" }]))));
    if (segments.length && !rows.some((row) => row.name === "segment")) more.append(button("Add a segment", `${place} segment`, () => act(conditionOf([...rows, { name: "segment", operator: "one_of", value: [segments[0]] }]))));
    group.append(more);
  }
  return group;
}

/** @param {Row[]} rows */
function fresh(rows) {
  let number = 1;
  const name = () => (number === 1 ? "attribute" : `attribute${number}`);
  while (rows.some((row) => row.name === name())) number += 1;
  return name();
}

/**
 * Sliders that make a hundred together: what one gives or takes, the others share by their size.
 * @param {object} options
 * @param {Record<string, number>} options.shares percentages
 * @param {string[]} options.names
 * @param {string} options.place
 * @param {boolean} options.isReadOnly
 * @param {(shares: Record<string, number>) => void} options.act
 */
export function sharesField({ shares, names, place, isReadOnly, act }) {
  const group = element("div", "p-flag-shares", "");
  /** @type {Record<string, number>} */
  let now = Object.fromEntries(names.map((name) => [name, shares[name] ?? 0]));
  let bar = barOf(now, names);
  group.append(bar);
  /** @type {Record<string, [HTMLInputElement, HTMLInputElement]>} */
  const controls = {};
  for (const name of names) {
    const slider = /** @type {HTMLInputElement} */ (element("input", "", ""));
    slider.type = "range";
    slider.min = "0";
    slider.max = "100";
    slider.step = "0.5";
    const exact = /** @type {HTMLInputElement} */ (element("input", "p-percent", ""));
    exact.type = "number";
    exact.min = "0";
    exact.max = "100";
    exact.step = "0.01";
    controls[name] = [slider, exact];
    for (const [control, kind] of /** @type {[HTMLInputElement, string][]} */ ([
      [slider, "slider"],
      [exact, "exact"],
    ])) {
      control.disabled = isReadOnly;
      control.dataset.place = `${place} ${kind} ${name}`;
      control.setAttribute("aria-label", `Share of ${name} in percent`);
      control.addEventListener("input", () => move(name, Number(control.value)));
      control.addEventListener("change", () => act(Object.fromEntries(Object.entries(now).filter(([each, share]) => share > 0 || each in shares))));
    }
    const line = element("div", "p-flag-share", "");
    line.append(element("code", "", name), slider, exact, element("span", "muted", "%"));
    group.append(line);
  }
  write();

  /**
   * @param {string} moved
   * @param {number} share
   */
  function move(moved, share) {
    now = moveShare(now, moved, share);
    const next = barOf(now, names);
    bar.replaceWith(next);
    bar = next;
    write();
  }

  function write() {
    for (const [name, pair] of Object.entries(controls)) for (const control of pair) if (control !== document.activeElement) control.value = String(now[name]);
  }
  return group;
}

/**
 * `shares` with one of them moved, still a hundred together, in hundredths of a percent.
 * @param {Record<string, number>} shares
 * @param {string} moved
 * @param {number} share
 * @returns {Record<string, number>}
 */
export function moveShare(shares, moved, share) {
  const wanted = Math.round(Math.min(100, Math.max(0, share)) * 100);
  const others = Object.keys(shares).filter((name) => name !== moved);
  if (!others.length) return { [moved]: 100 };
  const sum = others.reduce((total, name) => total + shares[name], 0);
  let left = 10000 - wanted;
  /** @type {Record<string, number>} */
  const result = {};
  others.forEach((name, index) => {
    const part = index === others.length - 1 ? left : Math.min(left, Math.round(((10000 - wanted) * (sum ? shares[name] / sum : 1 / others.length))));
    left -= part;
    result[name] = part / 100;
  });
  return Object.fromEntries(Object.keys(shares).map((name) => [name, name === moved ? wanted / 100 : result[name]]));
}
