// Rights that wait after a restore: marking what was not used for long, and saying how much is marked.
import { plural } from "./checking.js";

const DAY = 86_400_000;

const form = /** @type {HTMLFormElement | null} */ (document.getElementById("confirm-rights"));
const said = document.getElementById("marked");
const button = document.getElementById("confirm");
const boxes = /** @type {HTMLInputElement[]} */ ([...(form?.querySelectorAll("input[type=checkbox]") ?? [])]);

function count() {
  const marked = boxes.filter((box) => box.checked).length;
  if (said) said.textContent = marked ? `${plural(marked, "right")} marked, to be withdrawn` : "Nothing is marked: all of it counts again";
  if (button) button.textContent = marked ? "Withdraw what is marked, and confirm the rest" : "Confirm: rights count again";
}

function markUnused() {
  const days = Number(/** @type {HTMLInputElement} */ (document.getElementById("unused-days")).value);
  const since = Number(form?.dataset.restored) - days * DAY;
  for (const box of boxes) {
    if (box.dataset.used === undefined) continue;
    if (!box.dataset.used || Date.parse(box.dataset.used) < since) box.checked = true;
  }
  count();
}

if (form) {
  const tools = document.getElementById("unused");
  if (tools) tools.hidden = false;
  form.addEventListener("change", count);
  document.getElementById("unused-mark")?.addEventListener("click", markUnused);
  document.getElementById("unmark")?.addEventListener("click", () => {
    for (const box of boxes) box.checked = false;
    count();
  });
  count();
}
