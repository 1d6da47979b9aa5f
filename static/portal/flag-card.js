// One flag: its switch and who gets what in a line; opened, everything that may be set.
import { element } from "./checking.js";
import { conditionField, sharesField } from "./flag-rules.js";

/** @typedef {import("./flags.js").Flag} Flag */
/** @typedef {import("./flags.js").Operation} Operation */
/** @typedef {(patch: Operation[] | null) => Promise<boolean>} Change */

/**
 * @param {object} options
 * @param {Flag} options.flag
 * @param {import("./flags.js").Section} options.section
 * @param {boolean} options.isReadOnly
 * @param {import("./flags.js").Tried | undefined} options.tried
 * @param {boolean} options.isOpen
 * @param {(isOpen: boolean) => void} options.toggled
 * @param {Change} options.change
 */
export function cardOf({ flag, section, isReadOnly, tried, isOpen, toggled, change }) {
  const card = element("article", `p-flag${flag.enabled ? "" : " p-flag-off"}`, "");
  const head = element("div", "p-flag-head", "");
  const toggle = /** @type {HTMLInputElement} */ (element("input", "p-switch", ""));
  toggle.type = "checkbox";
  toggle.setAttribute("role", "switch");
  toggle.checked = flag.enabled;
  toggle.disabled = isReadOnly;
  toggle.dataset.place = `${flag.key} switch`;
  toggle.setAttribute("aria-label", `${flag.key} is on`);
  toggle.addEventListener("change", () => change([set(flag, "enabled", String(toggle.checked))]));
  const name = element("button", "p-flag-name", "");
  /** @type {HTMLButtonElement} */ (name).type = "button";
  name.dataset.place = `${flag.key} name`;
  name.setAttribute("aria-expanded", String(isOpen));
  name.append(element("code", "", flag.key), element("small", "muted", flag.description));
  head.append(toggle, name, ...badgesOf(flag), summaryOf(flag));
  card.append(head);
  if (tried) card.append(triedLine(flag, tried));
  const more = element("div", "p-flag-more", "");
  const fill = () => more.childElementCount || more.append(...fieldsOf({ flag, section, isReadOnly, change }));
  more.hidden = !isOpen;
  if (isOpen) fill();
  name.addEventListener("click", () => {
    fill();
    more.hidden = !more.hidden;
    name.setAttribute("aria-expanded", String(!more.hidden));
    toggled(!more.hidden);
  });
  card.append(more);
  return card;
}

/** @param {Flag} flag */
function badgesOf(flag) {
  const badges = [];
  if (flag.broken) badges.push(element("span", "badge warn", "cannot be evaluated"));
  if (flag.stale === "expired") badges.push(element("span", "badge warn", `expired ${flag.expires}`));
  if (!flag.own) badges.push(element("span", "badge", "inherited"));
  return badges;
}

/** Who gets what when no rule matches, and how many rules there are. @param {Flag} flag */
function summaryOf(flag) {
  const rules = flag.rules.length ? `${flag.rules.length} rule${flag.rules.length > 1 ? "s" : ""}, ` : "";
  const rest = flag.pair && flag.share !== null ? `on for ${flag.share} %` : `${flag.rules.length ? "else " : ""}${flag.default || "?"}`;
  const where = flag.countries.length ? ` in ${flag.countries.join(", ")}` : "";
  return element("span", "muted p-end", flag.enabled ? `${rules}${rest}${where}` : `off${flag.off && !flag.pair ? `: ${flag.off}` : ""}`);
}

/**
 * What the tried context gets, and a bar of what a thousand units would get.
 * @param {Flag} flag
 * @param {import("./flags.js").Tried} tried
 */
function triedLine(flag, tried) {
  const line = element("p", "p-flag-tried", "");
  const said = tried.error || (tried.value ? `${tried.variant}` : `no value${tried.variant ? ` (${tried.variant})` : ""}`);
  line.append(element("b", tried.error ? "bad" : "", said));
  if (tried.value && tried.value !== JSON.stringify(tried.variant)) line.append(" ", element("code", "", tried.value.length > 80 ? `${tried.value.slice(0, 80)}…` : tried.value));
  const because = { STATIC: "for everybody", SPLIT: "by shares", DISABLED: "switched off", TARGETING_MATCH: "by the context" }[tried.reason] ?? "";
  line.append(" ", element("small", "muted", [tried.rule === null ? "" : `rule ${tried.rule + 1}`, because].filter(Boolean).join(", ")));
  const counts = Object.entries(tried.counts).sort();
  if (counts.length) {
    const shares = Object.fromEntries(counts.map(([variant, count]) => [variant || "no value", (100 * count) / tried.units]));
    line.append(barOf(shares, flag.variants.map((each) => each.name)), element("small", "muted", `of ${tried.units} units with this context: ${counts.map(([variant, count]) => `${variant || "no value"} ${count}`).join(", ")}`));
  }
  return line;
}

/**
 * Shares as one bar; a variant keeps its colour.
 * @param {Record<string, number>} shares percentages
 * @param {string[]} order
 */
export function barOf(shares, order) {
  const bar = element("span", "p-shares", "");
  bar.setAttribute("role", "img");
  bar.setAttribute("aria-label", Object.entries(shares).map(([name, share]) => `${name} ${rounded(share)} %`).join(", "));
  for (const [name, share] of Object.entries(shares)) {
    const part = element("i", `p-share-${Math.max(order.indexOf(name), 0) % 6}`, "");
    part.style.width = `${share}%`;
    part.title = `${name} ${rounded(share)} %`;
    bar.append(part);
  }
  return bar;
}

/** @param {number} share */
const rounded = (share) => Math.round(share * 100) / 100;

/**
 * @param {Flag} flag
 * @param {string} member
 * @param {string} value JSON
 * @returns {Operation}
 */
function set(flag, member, value) {
  return { op: "add", path: [member], value };
}

/**
 * @param {{flag: Flag, section: import("./flags.js").Section, isReadOnly: boolean, change: Change}} options
 */
function fieldsOf({ flag, section, isReadOnly, change }) {
  /** @type {HTMLElement[]} */
  const fields = [
    textField(flag, "description", "Description", flag.description, isReadOnly, change),
    variantsOf(flag, isReadOnly, change),
    rulesOf({ flag, section, isReadOnly, change }),
    restOf(flag, isReadOnly, change),
    textField(flag, "expires", "Expires (a date)", flag.expires, isReadOnly, change),
    textField(flag, "seed", "Seed of its shares", flag.seed, isReadOnly, change, flag.name),
    jsonField(flag, "prerequisites", "Needs other flags", flag.needs, '[{"flag": "other", "variant": "on"}]', isReadOnly, change),
  ];
  if (isReadOnly) return fields.filter(saysSomething);
  if (flag.own) {
    const remove = button("Take it out of this text", `${flag.key} remove`, () => {
      if (remove.dataset.sure) change(null);
      remove.dataset.sure = "yes";
      remove.textContent = "Sure? Take it out";
    });
    fields.push(remove);
  }
  return fields;
}

/**
 * Whether a field or a group holds anything: who may only read is shown no empty ones.
 * @param {HTMLElement} part
 */
function saysSomething(part) {
  const field = part.querySelector("input");
  return part.matches("fieldset") ? part.childElementCount > 1 : Boolean(field?.value);
}

/**
 * @param {string} words
 * @param {string} place
 * @param {() => void} act
 */
export function button(words, place, act) {
  const made = /** @type {HTMLButtonElement} */ (element("button", "p-button", words));
  made.type = "button";
  made.dataset.place = place;
  made.addEventListener("click", act);
  return made;
}

/**
 * @param {string} words
 * @param {HTMLElement} control
 */
export function labelled(words, control) {
  const label = element("label", "p-field", words);
  label.append(" ", control);
  return label;
}

/**
 * @param {string} value
 * @param {string} place
 * @param {boolean} isReadOnly
 * @param {(value: string) => void} act
 */
export function input(value, place, isReadOnly, act) {
  const made = /** @type {HTMLInputElement} */ (element("input", "", ""));
  made.type = "text";
  made.value = value;
  made.disabled = isReadOnly;
  made.dataset.place = place;
  made.autocomplete = "off";
  made.spellcheck = false;
  made.addEventListener("change", () => act(made.value));
  made.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    event.stopPropagation();
    made.blur();
  });
  return made;
}

/**
 * @param {string[]} choices
 * @param {string} value
 * @param {string} place
 * @param {boolean} isReadOnly
 * @param {(value: string) => void} act
 */
export function choice(choices, value, place, isReadOnly, act) {
  const made = /** @type {HTMLSelectElement} */ (element("select", "", ""));
  for (const each of choices.includes(value) ? choices : [value, ...choices]) {
    const option = /** @type {HTMLOptionElement} */ (element("option", "", each || "none"));
    option.value = each;
    made.append(option);
  }
  made.value = value;
  made.disabled = isReadOnly;
  made.dataset.place = place;
  made.addEventListener("change", () => act(made.value));
  return made;
}

/**
 * @param {Flag} flag
 * @param {string} member
 * @param {string} words
 * @param {string} value
 * @param {boolean} isReadOnly
 * @param {Change} change
 */
function textField(flag, member, words, value, isReadOnly, change, placeholder = "") {
  const field = input(value, `${flag.key} ${member}`, isReadOnly, (given) => {
    if (given) change([set(flag, member, JSON.stringify(given))]);
    else if (value) change([{ op: "remove", path: [member] }]);
  });
  field.placeholder = placeholder;
  return labelled(words, field);
}

/**
 * @param {Flag} flag
 * @param {string} member
 * @param {string} words
 * @param {string[]} items JSON of each
 * @param {string} placeholder
 * @param {boolean} isReadOnly
 * @param {Change} change
 */
function jsonField(flag, member, words, items, placeholder, isReadOnly, change) {
  const field = input(items.length ? `[${items.join(", ")}]` : "", `${flag.key} ${member}`, isReadOnly, (given) => {
    if (!given) return items.length ? change([{ op: "remove", path: [member] }]) : undefined;
    if (isJson(given, field)) change([set(flag, member, given)]);
  });
  field.placeholder = placeholder;
  field.className = "code";
  return labelled(words, field);
}

/**
 * @param {string} text
 * @param {HTMLElement} field
 */
export function isJson(text, field) {
  field.removeAttribute("aria-invalid");
  try {
    JSON.parse(text);
    return true;
  } catch {
    field.setAttribute("aria-invalid", "true");
    return false;
  }
}

/**
 * The names and values of the variants, which one is given by default, and which while it is off.
 * @param {Flag} flag
 * @param {boolean} isReadOnly
 * @param {Change} change
 */
function variantsOf(flag, isReadOnly, change) {
  const group = element("fieldset", "p-flag-group", "");
  group.append(element("legend", "", "Variants"));
  if (flag.pair) {
    group.append(element("p", "muted", "on (true) and off (false)"));
    if (!isReadOnly && flag.share === null && !flag.countries.length && !flag.rules.length)
      group.append(button("Variants of its own", `${flag.key} variants`, () => change([set(flag, "variants", '{"first":"first","second":"second"}'), set(flag, "default", '"first"')])));
    return group;
  }
  for (const { name, text } of flag.variants) {
    const row = element("div", "p-flag-variant", "");
    row.append(element("code", "", name));
    if (!flag.names) {
      const value = input(text, `${flag.key} value ${name}`, isReadOnly, (given) => isJson(given, value) && change([{ op: "replace", path: ["variants", name], value: given }]));
      value.className = "code";
      value.setAttribute("aria-label", `Value of ${name}`);
      row.append(value);
    }
    if (!isReadOnly && flag.variants.length > 1)
      row.append(button("Remove", `${flag.key} drop ${name}`, () => change([{ op: "remove", path: ["variants", flag.names ? flag.variants.findIndex((each) => each.name === name) : name] }])));
    group.append(row);
  }
  if (!isReadOnly) {
    const more = input("", `${flag.key} another`, false, (given) => {
      const sample = flag.variants[0]?.text ?? '""';
      if (given) change([flag.names ? { op: "add", path: ["variants", "-"], value: JSON.stringify(given) } : { op: "add", path: ["variants", given], value: sample }]);
    });
    more.placeholder = "name of another";
    group.append(labelled("Add", more));
  }
  return group;
}

/**
 * @param {{flag: Flag, section: import("./flags.js").Section, isReadOnly: boolean, change: Change}} options
 */
function rulesOf({ flag, section, isReadOnly, change }) {
  const names = flag.variants.map((each) => each.name);
  const group = element("fieldset", "p-flag-group", "");
  group.append(element("legend", "", "Rules: the first that matches decides"));
  flag.rules.forEach((rule, index) => {
    const place = `${flag.key} rule ${index}`;
    const card = element("div", "p-flag-rule", "");
    const head = element("div", "p-flag-head", "");
    head.append(element("b", "", `${index + 1}`), element("small", "muted", rule.description));
    if (!isReadOnly) {
      if (index) head.append(button("↑", `${place} up`, () => change([{ op: "remove", path: ["rules", index] }, { op: "add", path: ["rules", index - 1], value: spelledRule(rule) }])));
      head.append(button("Remove", `${place} remove`, () => change([flag.rules.length > 1 ? { op: "remove", path: ["rules", index] } : { op: "remove", path: ["rules"] }])));
    }
    card.append(head);
    card.append(
      conditionField({
        when: rule.when,
        segments: section.segments,
        place,
        isReadOnly,
        act: (when) => change([when ? { op: "add", path: ["rules", index, "when"], value: when } : { op: "remove", path: ["rules", index, "when"] }]),
      }),
    );
    const kind = rule.shares ? "shares" : "variant";
    const how = choice(["variant", "shares"], kind, `${place} kind`, isReadOnly, (given) => {
      if (given === kind) return;
      const even = Object.fromEntries(names.map((name, at) => [name, at ? Math.floor(10000 / names.length) / 100 : 0]));
      even[names[0]] = rounded(100 - Object.values(even).reduce((sum, share) => sum + share, 0));
      if (given === "shares") change([{ op: "remove", path: ["rules", index, "variant"] }, { op: "add", path: ["rules", index, "shares"], value: JSON.stringify(even) }]);
      else change([{ op: "remove", path: ["rules", index, "shares"] }, { op: "add", path: ["rules", index, "variant"], value: JSON.stringify(names[0]) }]);
    });
    card.append(labelled("They get a", how));
    if (rule.shares) card.append(sharesField({ shares: rule.shares, names, place, isReadOnly, act: (shares) => change([{ op: "add", path: ["rules", index, "shares"], value: JSON.stringify(shares) }]) }));
    else card.append(labelled("Variant", choice(names, rule.variant, `${place} variant`, isReadOnly, (given) => change([{ op: "add", path: ["rules", index, "variant"], value: JSON.stringify(given) }]))));
    group.append(card);
  });
  if (!isReadOnly)
    group.append(
      button("Add a rule", `${flag.key} add rule`, () => {
        const rule = `{"when":{"country":"DE"},"variant":${JSON.stringify(names[0])}}`;
        change([flag.rules.length ? { op: "add", path: ["rules", "-"], value: rule } : set(flag, "rules", `[${rule}]`)]);
      }),
    );
  return group;
}

/** @param {import("./flags.js").Rule} rule */
function spelledRule(rule) {
  const members = [];
  if (rule.description) members.push(`"description":${JSON.stringify(rule.description)}`);
  if (rule.when) members.push(`"when":${rule.when}`);
  members.push(rule.shares ? `"shares":${JSON.stringify(rule.shares)}` : `"variant":${JSON.stringify(rule.variant)}`);
  return `{${members.join(",")}}`;
}

/**
 * Who no rule is about.
 * @param {Flag} flag
 * @param {boolean} isReadOnly
 * @param {Change} change
 */
function restOf(flag, isReadOnly, change) {
  const names = flag.variants.map((each) => each.name);
  const group = element("fieldset", "p-flag-group", "");
  group.append(element("legend", "", flag.rules.length ? "Everybody else" : "Everybody"));
  if (flag.share !== null) {
    group.append(
      sharesField({
        shares: { on: flag.share, off: rounded(100 - flag.share) },
        names: ["on", "off"],
        place: `${flag.key} share`,
        isReadOnly,
        act: (shares) => change([set(flag, "share", String(shares.on))]),
      }),
    );
    if (!isReadOnly) group.append(button("Without a share", `${flag.key} unshare`, () => change([{ op: "remove", path: ["share"] }])));
  } else {
    group.append(labelled("Variant", choice(names, flag.default, `${flag.key} default`, isReadOnly, (given) => change([set(flag, "default", JSON.stringify(given))]))));
    if (flag.pair && !isReadOnly) group.append(button("A share of the units", `${flag.key} share`, () => change([set(flag, "share", "50")])));
  }
  if (flag.pair) {
    const where = input(flag.countries.join(", "), `${flag.key} countries`, isReadOnly, (given) => {
      const codes = given.toUpperCase().split(/[\s,]+/).filter(Boolean);
      if (codes.length) change([set(flag, "countries", JSON.stringify(codes))]);
      else if (flag.countries.length) change([{ op: "remove", path: ["countries"] }]);
    });
    where.placeholder = "everywhere";
    group.append(labelled("Only in the countries", where));
  }
  group.append(
    labelled(
      "While it is off",
      choice(["", ...names], flag.off, `${flag.key} off`, isReadOnly, (given) => change([given ? set(flag, "off", JSON.stringify(given)) : { op: "remove", path: ["off"] }])),
    ),
  );
  return group;
}
