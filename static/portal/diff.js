// Shows the two texts of a comparison page.
import { showDifference } from "./code.js";

const parent = document.getElementById("merge");
if (parent) {
  const text = (id) => document.getElementById(id).value;
  showDifference(parent, text("merge-old"), text("merge-new"), parent.dataset.format);
}
