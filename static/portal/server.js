// Asking the server in the background: one place that knows CSRF, log-outs and failures.

/**
 * What came of a request.
 * - `ok`: done, `data` is the answer.
 * - `refused`: the server understood and said no; `data.detail` says why.
 * - `logged-out`: the session has ended, or is another one than this page's.
 * - `unreachable`: no answer, or one that is not the application's.
 * - `aborted`: a later request took its place.
 * @typedef {{outcome: "ok" | "refused" | "logged-out" | "unreachable" | "aborted", data: any}} Answer
 */

/**
 * The CSRF token that is valid now. The cookie comes first: logging in again in another tab
 * replaces the token, and the one in this page's form is then refused.
 * @param {HTMLFormElement} form
 * @returns {string}
 */
export function csrfToken(form) {
  const cookie = document.cookie.split("; ").find((each) => each.startsWith("csrftoken="));
  const field = /** @type {HTMLInputElement | null} */ (form.elements.namedItem("csrfmiddlewaretoken"));
  return cookie?.slice("csrftoken=".length) || field?.value || "";
}

/**
 * POST `body`: a form's data as it is, anything else as JSON. Never throws.
 * @param {HTMLFormElement} form the page's form, for its CSRF token
 * @param {string} url
 * @param {FormData | object} body
 * @param {AbortSignal} [signal]
 * @returns {Promise<Answer>}
 */
export async function post(form, url, body, signal) {
  const isForm = body instanceof FormData;
  if (isForm) body.set("csrfmiddlewaretoken", csrfToken(form)); // Django looks here before the header
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json", "X-CSRFToken": csrfToken(form) };
  if (!isForm) headers["Content-Type"] = "application/json";
  try {
    const response = await fetch(url, { method: "POST", body: isForm ? body : JSON.stringify(body), headers, signal });
    const isJson = response.headers.get("content-type")?.includes("json") ?? false;
    const data = isJson ? await response.json() : await response.text().then(() => ({}));
    return { outcome: judge(response, isJson, data), data };
  } catch (error) {
    return { outcome: /** @type {Error} */ (error).name === "AbortError" ? "aborted" : "unreachable", data: {} };
  }
}

/**
 * @param {Response} response
 * @param {boolean} isJson
 * @param {any} data
 * @returns {Answer["outcome"]}
 */
function judge(response, isJson, data) {
  const status = response.status;
  const sessionEnded = status === 401 || data.code === "unauthenticated" || data.code === "csrf";
  // The admin answers a background request without a session by its log-in page.
  if (sessionEnded || (!isJson && (status === 403 || (response.ok && response.redirected)))) return "logged-out";
  if (!isJson || status >= 500) return "unreachable";
  return response.ok ? "ok" : "refused";
}

/**
 * A new delay for the n-th try in a row: doubling from `first` up to `most` milliseconds, spread
 * so that pages do not come back all at once.
 * @param {number} tries
 * @param {number} first
 * @param {number} most
 */
export function backOff(tries, first, most) {
  return Math.min(most, first * 2 ** tries) * (0.5 + Math.random());
}
