// Sends the form without leaving the page, so that the chosen file stays chosen.
const form = document.getElementById("exchange");
const status = document.getElementById("exchange-status");

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const data = new FormData(form, event.submitter);
  const buttons = form.querySelectorAll("button");
  buttons.forEach((each) => (each.disabled = true));
  status.textContent = "Reading …";
  try {
    const answer = await fetch(location.href, { method: "POST", body: data });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const report = page.getElementById("report");
    if (report) {
      document.getElementById("report").replaceWith(report);
      status.textContent = "";
    } else {
      status.textContent = page.querySelector(".portal")?.textContent.trim() || "It was refused.";
    }
  } catch {
    status.textContent = "The server cannot be reached. Nothing was stored.";
  } finally {
    buttons.forEach((each) => (each.disabled = false));
  }
});
