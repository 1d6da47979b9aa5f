// The slider over a configuration's history: each stop is a version, and shows the document of then.

const PAUSE = 120; // ms after the last move before the server is asked
const section = /** @type {HTMLElement} */ (document.getElementById("then"));
const form = /** @type {HTMLFormElement} */ (section.querySelector("form"));
const at = /** @type {HTMLInputElement} */ (form.elements.namedItem("at"));
const said = /** @type {HTMLOutputElement} */ (section.querySelector("output"));
const slide = /** @type {HTMLElement} */ (section.querySelector(".p-slide"));
const range = /** @type {HTMLInputElement} */ (slide.querySelector("input"));
const shown = /** @type {HTMLElement} */ (document.getElementById("then-shown"));

/** @typedef {{version: number, revision: number, at: string, cause: string, author: string}} Mark */
/** @type {Mark[]} */
let marks = [];
/** @type {AbortController | undefined} */
let asking;
/** @type {number | undefined} */
let waiting;

/** @param {string} text */
const minute = (text) => text.slice(0, 16).replace("T", " ");

async function begin() {
  const response = await fetch(section.dataset.marks ?? "", { headers: { Accept: "application/json" } });
  if (!response.ok || response.redirected) return; // the form goes on by itself
  marks = (await response.json()).marks;
  if (marks.length < 2) return;
  range.max = String(marks.length - 1);
  range.value = range.max;
  const ends = slide.querySelectorAll("span");
  ends[0].textContent = minute(marks[0].at);
  ends[1].textContent = minute(marks[marks.length - 1].at);
  draw();
  slide.hidden = false;
}

/** A stroke for each stop, in the colour of its cause. */
function draw() {
  const svg = /** @type {SVGElement} */ (slide.querySelector("svg"));
  const width = 1000;
  svg.setAttribute("viewBox", `0 0 ${width} 22`);
  const strokes = marks.map((mark, index) => {
    const line = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    line.setAttribute("x", String((index / (marks.length - 1)) * (width - 3)));
    line.setAttribute("width", marks.length > 150 ? "1" : "3");
    line.setAttribute("height", "22");
    line.setAttribute("class", mark.cause);
    return line;
  });
  svg.replaceChildren(...strokes);
}

function moved() {
  const mark = marks[Number(range.value)];
  at.value = mark.at;
  said.textContent = `Version ${mark.version}, ${mark.cause}, ${mark.author}, ${minute(mark.at)} UTC`;
  range.setAttribute("aria-valuetext", said.textContent);
  window.clearTimeout(waiting);
  waiting = window.setTimeout(show, PAUSE);
}

async function show() {
  asking?.abort();
  asking = new AbortController();
  const url = new URL(form.action);
  url.searchParams.set("at", at.value);
  url.searchParams.set("part", "1");
  shown.setAttribute("aria-busy", "true");
  try {
    const response = await fetch(url, { signal: asking.signal });
    if (response.redirected) throw new Error("logged out");
    if (!response.ok) {
      said.textContent = "There is no such point: write a time such as 2026-11-24T09:30:00Z, or a revision.";
      shown.replaceChildren();
    } else {
      shown.innerHTML = await response.text();
    }
    shown.removeAttribute("aria-busy");
  } catch (error) {
    if (/** @type {Error} */ (error).name === "AbortError") return;
    said.textContent = "The server did not answer. Move the slider to try again.";
    shown.removeAttribute("aria-busy");
  }
}

range.addEventListener("input", moved);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (at.value.trim()) show();
});
begin();
