// What the server has as a draft needs no keeping in this browser: whatever is chosen here is done with it.
import { openKept } from "./kept.js";

const page = /** @type {HTMLElement} */ (document.getElementById("stale"));
const { user = "", service = "", environment = "" } = page.dataset;
const { value } = /** @type {HTMLTextAreaElement} */ (page.querySelector('textarea[name="content"]'));
const kept = openKept(user, service, environment);
for (const { name, entry } of kept.others()) {
  if (entry.text === value) kept.forget(name);
}
