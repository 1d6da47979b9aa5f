// What the page has to say above the editor: text to restore, and a newer version.
import { element } from "./checking.js";
import { showDifference } from "./code.js";

/** @typedef {import("./kept.js").Entry} Entry */

/**
 * @param {string} words
 * @param {() => void} act
 * @param {string} [className]
 */
function button(words, act, className = "p-button") {
  const made = /** @type {HTMLButtonElement} */ (element("button", className, words));
  made.type = "button";
  made.addEventListener("click", act);
  return made;
}

/**
 * Offer, one after the other, the texts that this browser holds and the server does not.
 * @param {object} options
 * @param {HTMLElement} options.banner
 * @param {import("./kept.js").Kept} options.kept
 * @param {number} options.draftSaved when the server's draft was saved, in seconds; 0: there is none
 * @param {() => string} options.current the editor's text
 * @param {string} options.liveText
 * @param {(entry: Entry) => void} options.restore
 */
export function offerRestore({ banner, kept, draftSaved, current, liveText, restore }) {
  const offers = kept.others();
  const isKnown = (/** @type {Entry} */ entry) => entry.text === current() || entry.text === liveText;
  for (const each of offers.filter((offer) => isKnown(offer.entry))) kept.forget(each.name);
  const [offer, ...rest] = offers.filter((each) => !isKnown(each.entry));
  banner.hidden = !offer;
  if (!offer) return;

  const over = new AbortController();
  const again = () => {
    over.abort();
    offerRestore({ banner, kept, draftSaved, current, liveText, restore });
  };
  const follow = (/** @type {StorageEvent} */ event) => {
    if (event.key === offer.name) again(); // the tab that it comes from has saved it, or went on
  };
  addEventListener("storage", follow, { signal: over.signal });
  const take = () => {
    const { entry, name } = offer;
    restore(entry);
    kept.forget(name);
    again();
  };
  const discard = () => {
    kept.forget(offer.name);
    again();
  };
  const when = new Date(offer.entry.at * 1000).toLocaleString();
  const age = draftSaved > offer.entry.at ? "older than your draft" : draftSaved ? "newer than your draft" : "not on the server";
  const more = rest.length ? ` There ${rest.length === 1 ? "is one more" : `are ${rest.length} more`}.` : "";
  const actions = element("span", "p-banner-actions", "");
  actions.append(
    button("Compare", () => compare(offer.entry, current(), take)),
    button("Restore unsaved text", take, "p-button p-primary"),
    button("Discard it", discard),
  );
  banner.replaceChildren(element("span", "", `This browser holds text of yours from ${when}, ${age}.${more}`), actions);
}

/**
 * @param {Entry} entry
 * @param {string} current
 * @param {() => void} take
 */
function compare(entry, current, take) {
  const dialog = /** @type {HTMLDialogElement} */ (element("dialog", "p-dialog", ""));
  const title = element("h2", "", "Unsaved text");
  title.id = "restore-title";
  dialog.setAttribute("aria-labelledby", title.id);
  const difference = element("div", "p-diff", "");
  const actions = element("div", "p-actions", "");
  const restore = () => {
    dialog.close();
    take();
  };
  actions.append(button("Back", () => dialog.close()), button("Restore unsaved text", restore, "p-button p-primary"));
  dialog.append(title, difference, actions);
  (document.querySelector(".portal") ?? document.body).append(dialog);
  dialog.showModal();
  const shown = showDifference(difference, current, entry.text, entry.format, { before: "In the editor", after: "Unsaved text" });
  dialog.addEventListener("close", () => {
    shown.destroy();
    dialog.remove();
  });
}

/**
 * Say that a newer version is live than the one that the text is on.
 * @param {object} options
 * @param {HTMLElement} options.banner
 * @param {string} options.words
 * @param {number} options.from the version that the text is on; 0: none
 * @param {number} options.to
 * @param {string} options.diffUrl
 * @param {() => void} options.load
 */
export function announce({ banner, words, from, to, diffUrl, load }) {
  const actions = element("span", "p-banner-actions", "");
  if (from) {
    const link = /** @type {HTMLAnchorElement} */ (element("a", "p-button", "See what changed"));
    link.href = `${diffUrl}?from=${from}&to=${to}`;
    link.target = "_blank";
    link.title = "Opens in a new tab";
    actions.append(link);
  }
  actions.append(button("Load it", load, "p-button p-primary"));
  banner.hidden = false; // first, so that what comes in is read out
  banner.replaceChildren(element("span", "", words), actions);
}

/**
 * @param {import("./news.js").News} news
 * @param {boolean} isOwn published in another tab of the same person
 */
export function wordsOf(news, isOwn) {
  const who = isOwn ? "by you in another tab" : "by someone else";
  const cause = news.cause && news.cause !== "publish" ? ` (${news.cause})` : "";
  const keys = news.keys?.length ? `: ${news.keys.slice(0, 4).join(", ")}${news.keys.length > 4 ? " …" : ""}` : "";
  return `Version ${news.version} was published ${who} just now${cause}${keys}`;
}
