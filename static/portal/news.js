// News over the WebSocket: whether somebody published a version since this page was made.
import { backOff } from "./server.js";

const SILENCE = 40_000; // the server sends a bookmark every 15 s
const NOT_AUTHENTICATED = 4401;
const RIGHT_WITHDRAWN = 4403;

/**
 * @typedef {{version: number, cause?: string, keys?: string[]}} News
 */

/**
 * Listens for as long as the page is open; connects again by itself.
 * @param {object} options
 * @param {string} options.url the WebSocket's path or address
 * @param {string} options.configUrl where the configuration is fetched; asked for its version after
 *   each connect, so that nothing that happened in between is missed
 * @param {string} options.service
 * @param {string} options.environment
 * @param {boolean} options.hasLive whether there was a live version when this page was made
 * @param {(news: News) => void} options.onVersion
 * @param {(state: "on" | "off", words: string) => void} options.onState
 */
export function listen({ url, configUrl, service, environment, hasLive, onVersion, onState }) {
  const address = new URL(url, location.href);
  address.protocol = address.protocol.replace("http", "ws");
  let tries = 0;
  let connects = 0;
  /** @type {WebSocket | undefined} */
  let socket;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let again;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let silence;

  function connect() {
    clearTimeout(again);
    socket = new WebSocket(address);
    socket.onopen = () => {
      socket?.send(JSON.stringify({ type: "subscribe", service, environment }));
      listenFor(SILENCE);
    };
    socket.onmessage = (event) => {
      listenFor(SILENCE);
      take(JSON.parse(event.data));
    };
    socket.onclose = (event) => closed(event.code);
  }

  /** @param {any} message */
  function take(message) {
    if (message.type === "ready" || message.type === "resync") {
      tries = 0;
      onState("on", "live");
      if (connects++ > 0 || hasLive) askVersion();
    } else if (message.type === "changed") {
      onVersion(message);
    } else if (message.type === "error") {
      onState("off", "offline");
    }
  }

  async function askVersion() {
    try {
      const address = `${configUrl}?environment=${encodeURIComponent(environment)}`;
      const response = await fetch(address, { method: "HEAD", headers: { Accept: "application/json" } });
      await response.text();
      const version = Number(response.headers.get("X-Config-Version"));
      if (response.ok && version) onVersion({ version });
    } catch {
      // the next connect asks again
    }
  }

  /** @param {number} code */
  function closed(code) {
    clearTimeout(silence);
    clearTimeout(again);
    const words = { [NOT_AUTHENTICATED]: "logged out", [RIGHT_WITHDRAWN]: "no right to read" }[code] ?? "offline";
    onState("off", words);
    const first = words === "offline" ? 500 : 15_000;
    again = setTimeout(connect, backOff(tries++, first, 30_000));
  }

  /** @param {number} delay */
  function listenFor(delay) {
    clearTimeout(silence);
    silence = setTimeout(() => socket?.close(), delay);
  }

  addEventListener("online", () => {
    if (!socket || socket.readyState > WebSocket.OPEN) connect();
  });
  connect();
}
