// Another format for the text: the server converts it, and the way back is to the very text.
import { element } from "./checking.js";
import { say } from "./draft.js";
import { post } from "./server.js";

/**
 * Ask the server for `content` in another format.
 * @param {HTMLFormElement} form
 * @param {string} url
 * @param {string} content
 * @param {string} from
 * @param {string} to
 */
export function convert(form, url, content, from, to) {
  const data = new FormData();
  for (const [name, value] of Object.entries({ content, format: from, to })) data.set(name, value);
  return post(form, url, data);
}

/**
 * Let the format be chosen.
 * @param {object} options
 * @param {HTMLFormElement} options.form
 * @param {HTMLSelectElement} options.select
 * @param {string} options.url
 * @param {HTMLElement} options.status
 * @param {() => {text: string, format: string}} options.read
 * @param {(format: string, text: string) => void} options.replace
 * @param {() => void} options.refused the text cannot be read: show where
 */
export function openConverting({ form, select, url, status, read, replace, refused }) {
  /** @type {HTMLElement | undefined} */
  let back;
  let converted = "";

  select.addEventListener("change", async () => {
    const before = read();
    const wanted = select.value;
    if (!before.text.trim()) {
      replace(wanted, before.text);
      return;
    }
    const answer = await convert(form, url, before.text, before.format, wanted);
    if (answer.outcome === "ok" && read().text === before.text) {
      replace(wanted, answer.data.content);
      offerBack(before);
      return;
    }
    select.value = read().format;
    say(status, why(answer), "bad");
    if (answer.outcome === "refused") refused();
  });

  /**
   * Comments and layout do not survive a conversion.
   * @param {{text: string, format: string}} before
   */
  function offerBack(before) {
    back?.remove();
    converted = read().text;
    const button = element("button", "p-button", `Back to ${before.format}, as it was`);
    button.setAttribute("type", "button");
    button.addEventListener("click", () => {
      replace(before.format, before.text);
      back?.remove();
    });
    back = element("span", "muted", "Without its comments and layout. ");
    back.append(button);
    select.closest("label")?.after(back);
  }

  return {
    /** The text was edited: what is offered would lose that. */
    touch() {
      if (back && read().text !== converted) back.remove();
    },
  };
}

/** @param {import("./server.js").Answer} answer */
function why({ outcome, data }) {
  if (outcome === "ok") return "Not converted: the text changed meanwhile.";
  if (outcome === "logged-out") return "Not converted: you are logged out.";
  return outcome === "refused" ? `Not converted: ${data.detail}` : "Not converted: the server does not answer.";
}
