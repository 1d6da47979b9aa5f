// The last look before publishing: what would change, against what is live, and why.
import { element, isElsewhere, plural } from "./checking.js";
import { showDifference } from "./code.js";
import { convert } from "./converting.js";

const MOST_LISTED = 200;
const LONGEST_VALUE = 120;
const MOST_KEYS = 5;
/** @type {Record<string, string>} */
const STAYS = {
  pinned: "is pinned to an earlier version",
  protected: "is in a protected environment",
  restricted: "has keys there that need a right of their own",
  invalid: "would be invalid",
  restored: "is what it was then",
};

/** @typedef {import("./checking.js").Report} Report */
/** @typedef {import("./checking.js").Change} Change */
/** @typedef {import("./checking.js").Affected} Affected */

/**
 * @param {object} options
 * @param {HTMLFormElement} options.form
 * @param {string} options.convertUrl
 * @param {string} options.service
 * @param {string} options.environment
 * @param {() => number} options.base the version that the text is on
 * @param {number} options.liveVersion 0: none
 * @param {string} options.liveText
 * @param {string} options.liveFormat
 * @param {() => {content: string, format: string, extends: object[]}} options.read
 * @param {() => Promise<Report | null>} options.check
 * @param {() => number} options.newest the newest version that is known of
 * @param {import("./making.js").Making | null} options.making
 */
export function openReview({ form, convertUrl, service, environment, base, liveVersion, liveText, liveFormat, read, check, newest, making }) {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("dialog"));
  const summary = /** @type {HTMLElement} */ (document.getElementById("dialog-summary"));
  const difference = /** @type {HTMLElement} */ (document.getElementById("dialog-diff"));
  const publish = /** @type {HTMLButtonElement} */ (document.getElementById("publish"));
  const leave = /** @type {HTMLInputElement} */ (document.getElementById("leave"));
  const list = element("ul", "p-changelist", "");
  summary.setAttribute("role", "status");
  summary.after(list);
  /** @type {{destroy(): void} | undefined} */
  let shown;

  async function open() {
    if (dialog.open) return;
    dialog.showModal();
    publish.disabled = true;
    summary.textContent = "Checking…";
    list.replaceChildren();
    /** @type {HTMLElement | null} */ (form.elements.namedItem("message"))?.focus();
    const [report] = await Promise.all([check(), compare()]);
    if (dialog.open) conclude(report);
  }

  async function compare() {
    const { content, format } = read();
    const before = liveFormat === format || !liveText ? liveText : await converted(liveText, liveFormat, format);
    const when = newest() > liveVersion ? "Live when this page was opened" : "Live";
    const names = { before: liveVersion ? `${when}: version ${liveVersion}` : "Nothing is live", after: "Your text" };
    shown?.destroy();
    if (dialog.open) shown = showDifference(difference, before, content, format, names);
  }

  /**
   * The live text in the format of the draft, so that the two can be compared.
   * @param {string} content
   * @param {string} from
   * @param {string} to
   */
  async function converted(content, from, to) {
    const answer = await convert(form, convertUrl, content, from, to);
    return answer.outcome === "ok" ? answer.data.content : content;
  }

  /** @param {Report | null} report */
  function conclude(report) {
    const isStale = newest() > base();
    const isConverted = Boolean(liveText) && read().format !== liveFormat;
    const others = report?.errors.filter((each) => isElsewhere(each, service, environment)) ?? [];
    const mayLeave = others.length > 0 && others.length === report?.errors.length;
    publish.disabled = !report?.valid;
    leave.checked = false;
    leave.onchange = () => { publish.disabled = !leave.checked; };
    /** @type {HTMLElement} */ (leave.parentElement).hidden = !mayLeave;
    summary.textContent = verdict(report);
    if (report?.valid && isStale) {
      summary.append(element("b", "", ` Version ${newest()} was published meanwhile: you will be shown what changed before yours can go live.`));
    }
    if (report?.valid && isConverted) {
      summary.append(element("b", "", ` It takes the place of a ${liveFormat} text, whose comments and layout are not in it.`));
    }
    const followers = (report?.affected ?? []).map(follower);
    const lines = report?.valid ? [...report.changes.map(describe), ...followers] : (report?.errors ?? []).map(mended);
    list.replaceChildren(...(report?.warnings ?? []).map(mended), ...lines.slice(0, MOST_LISTED));
    if (lines.length > MOST_LISTED) list.append(element("li", "muted", `and ${lines.length - MOST_LISTED} more`));
  }

  /**
   * A problem, with what makes it go; the review begins anew after that.
   * @param {import("./checking.js").Problem} each
   */
  function mended(each) {
    const elsewhere = isElsewhere(each, service, environment);
    const item = problem(elsewhere ? { ...each, line: undefined } : each);
    if (elsewhere && each.service) item.prepend(element("b", "", `${each.service}@${each.environment}`), " ");
    const fix = elsewhere ? null : making?.button(each, open);
    fix?.addEventListener("click", () => dialog.close());
    if (fix) item.append(" ", fix);
    return item;
  }

  document.getElementById("cancel")?.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    shown?.destroy();
    shown = undefined;
  });
  return { open, isOpen: () => dialog.open };
}

/** @param {Report | null} report */
function verdict(report) {
  if (!report) return "It could not be checked, so it cannot be published now. Your text is kept.";
  if (!report.valid) return `${plural(report.errors.length, "problem")} to solve before this can be published:`;
  const others = spread(report.affected ?? []);
  if (!report.changes.length) return `What services get stays the same.${others}`;
  return `${plural(report.changes.length, "key")} would change:${others}`;
}

/**
 * What happens to other configurations, in words.
 * @param {Affected[]} affected
 */
function spread(affected) {
  const count = (/** @type {Affected[]} */ some) => some.reduce((sum, each) => sum + (each.hidden ?? 1), 0);
  const staying = affected.filter((each) => each.outdated);
  const following = count(affected) - staying.length;
  const words = [
    following ? `${plural(following, "other configuration")} would follow` : "",
    staying.length ? `${plural(staying.length, "other")} would stay, outdated` : "",
  ].filter(Boolean);
  return words.length ? ` ${words.join(", ")}.` : "";
}

/**
 * Another configuration that this one's act moves, or leaves.
 * @param {Affected} each
 */
function follower(each) {
  const item = element("li", "follows", "");
  if (each.hidden) {
    item.append(element("span", "badge", "follows"), ` ${plural(each.hidden, "configuration")} that you may not see`);
    return item;
  }
  const name = element("b", "", `${each.service}@${each.environment}`);
  if (each.outdated) {
    item.append(element("span", "badge warn", "stays"), " ", name, ` ${STAYS[each.outdated] ?? ""}: it becomes outdated`);
    return item;
  }
  const changes = each.changes ?? [];
  item.append(element("span", "badge", "follows"), " ", name);
  const keys = element("ul", "", "");
  keys.append(...changes.slice(0, MOST_KEYS).map(describe));
  if (changes.length > MOST_KEYS) keys.append(element("li", "muted", `and ${plural(changes.length - MOST_KEYS, "more key")}`));
  if (changes.length) item.append(keys);
  return item;
}

/** @param {import("./checking.js").Problem} each */
function problem(each) {
  const item = element("li", "problem", "");
  const place = [each.line ? `Line ${each.line}` : "", each.pointer ?? ""].filter(Boolean).join(" ");
  if (place) item.append(element("code", "", place), " ");
  item.append(each.message);
  return item;
}

/** @param {Change} change */
function describe(change) {
  const item = element("li", change.kind, "");
  item.append(element("span", "badge", change.kind), " ", element("code", "", change.key || "(all)"), " ");
  for (const [member, name] of Object.entries(change.item ?? {})) item.append(element("span", "muted", `${member} ${name}`), " ");
  if (change.kind === "moved") {
    item.append(`item ${Number(change.from) + 1} → ${Number(change.to) + 1}`);
    return item;
  }
  if (change.kind !== "added") item.append(element("del", "", short(change.old)));
  if (change.kind === "changed" || change.kind === "renamed") item.append(" → ");
  if (change.kind !== "removed") item.append(element("ins", "", short(change.new)));
  return item;
}

/** @param {unknown} value */
function short(value) {
  const text = JSON.stringify(value) ?? "";
  return text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE)}…` : text;
}
