// The page of backups: what goes on moves by itself, and commands are copied.
import { backOff } from "./server.js";

const EVERY = 1_000;
const MOST = 30_000;

const runs = /** @type {HTMLElement} */ (document.getElementById("runs"));
let failures = 0;

function goesOn() {
  return runs.querySelector("[data-goes-on]") !== null;
}

async function look() {
  try {
    const answer = await fetch(String(runs.dataset.url), { headers: { Accept: "text/html" } });
    if (answer.redirected || answer.status === 403 || answer.status === 404) return location.reload(); // logged out
    if (!answer.ok) throw new Error(answer.statusText);
    runs.innerHTML = await answer.text();
    failures = 0;
  } catch {
    failures += 1;
  }
  if (!goesOn()) return location.assign(location.pathname); // it is over: the archives are others
  setTimeout(look, failures ? backOff(failures, EVERY, MOST) : EVERY);
}

document.addEventListener("click", async (event) => {
  const button = /** @type {HTMLElement} */ (event.target).closest?.("[data-copy]");
  if (!(button instanceof HTMLElement)) return;
  await navigator.clipboard.writeText(String(button.dataset.copy));
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy"), 2_000);
});

if (goesOn()) setTimeout(look, EVERY);
