// The form of a key rule: which keys that there are today its pattern covers, while one types.
import { element, plural } from "./checking.js";

const LOOK_AFTER = 300;
const MOST_PLACES = 20;

const form = /** @type {HTMLFormElement | null} */ (document.getElementById("key-rule"));
const shown = /** @type {HTMLElement} */ (document.getElementById("key-rule-preview"));
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;
let asking = new AbortController();

/** @param {string} name */
function given(name) {
  return /** @type {HTMLInputElement | null} */ (form?.elements.namedItem(name))?.value.trim() ?? "";
}

/** @param {string} words */
function say(words) {
  shown.replaceChildren(element("p", "muted", words));
}

async function look() {
  asking.abort();
  asking = new AbortController();
  if (!form || !given("pattern")) return shown.replaceChildren();
  const query = new URLSearchParams({ pattern: given("pattern"), service: given("service"), environment: given("environment") });
  try {
    const response = await fetch(`${form.dataset.previewUrl}?${query}`, { headers: { Accept: "application/json" }, signal: asking.signal });
    const data = await response.json();
    if (response.ok) show(data);
    else say(data.detail);
  } catch (error) {
    if (/** @type {Error} */ (error).name !== "AbortError") say("What it covers cannot be shown now.");
  }
}

/** @param {{found: {place: string, url: string, keys: string[], more: number}[], count: number, left: number}} data */
function show(data) {
  const places = data.found.length;
  const words = data.count ? `Covers ${plural(data.count, "key")} of ${plural(places, "configuration")} today:` : "Covers no key that is live today, of those that you may see.";
  const list = element("ul", "p-covered", "");
  list.append(...data.found.slice(0, MOST_PLACES).map(entry));
  shown.replaceChildren(element("p", "muted", words), list);
  if (places > MOST_PLACES) shown.append(element("p", "muted", `and ${plural(places - MOST_PLACES, "more configuration")}`));
  if (data.left) shown.append(element("p", "muted", `${plural(data.left, "more configuration")} were not looked at.`));
}

/** @param {{place: string, url: string, keys: string[], more: number}} each */
function entry(each) {
  const item = element("li", "", "");
  const link = /** @type {HTMLAnchorElement} */ (element("a", "link", each.place));
  link.href = each.url;
  item.append(link, " ");
  for (const key of each.keys) item.append(element("code", "", key), " ");
  if (each.more) item.append(element("span", "muted", `and ${each.more} more`));
  return item;
}

if (form) {
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, LOOK_AFTER);
  });
  if (!shown.textContent?.trim()) look();
}
