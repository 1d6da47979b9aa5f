// Shows the two texts of a comparison page: `#merge[data-format]`, `#merge-old`, `#merge-new`;
// `data-old-name` and `data-new-name` say whose they are.
import { showDifference } from "./code.js";

const parent = document.getElementById("merge");
if (parent) {
  /** @param {string} id */
  const text = (id) => /** @type {HTMLTextAreaElement} */ (document.getElementById(id)).value;
  const names = { before: parent.dataset.oldName ?? "Before", after: parent.dataset.newName ?? "After" };
  showDifference(parent, text("merge-old"), text("merge-new"), parent.dataset.format ?? "yaml", names);
}
