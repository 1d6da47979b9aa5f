// A client for configsvc in one file, for browsers and Node 18 or newer, without dependencies: get a
// value, hear of changes, keep the last good copy. The same contract as the Python client
// (deploy/agent/configsvc_client): what it does when things go wrong stands in the README there.
//
//   import { connect } from "/static/client/configsvc.js";
//   const config = await connect("checkout", { environment: "production" });
//   config.get("settings.timeout", 2500);
//   config.onChange((changed) => console.log("now at version", changed.version), "settings.**");

/**
 * @typedef {object} Options
 * @property {string} [url] the server, with a path in front if there is one. Default: in a browser the
 *   page's own origin, in Node `CONFIGSVC_URL` or `http://127.0.0.1:8000`
 * @property {string | (() => string | Promise<string>)} [token] asked before each request. Default: in a
 *   browser none (its session's cookie goes along), in Node `CONFIGSVC_TOKEN_FILE` or `CONFIGSVC_TOKEN`
 * @property {string} [environment] else the token's own, else the server's default
 * @property {string} [instance] a name for this process: the server then knows which version it fetched last
 * @property {string} [unit] whom experiments go by
 * @property {boolean | string | Copy} [cache] where the last good copy is kept: `true` for
 *   `localStorage`, in Node a folder (`CONFIGSVC_CACHE_DIR`), or something with `read` and `write`
 * @property {Partial<Timing>} [timing] other waits
 * @property {(level: "info" | "warn" | "error", text: string) => void} [log] default: the console
 */

/**
 * Where the last good copy is kept, as a text. Both may fail; then there is no copy.
 * @typedef {{read: () => string | null | undefined | Promise<string | null | undefined>, write: (text: string) => void | Promise<void>}} Copy
 */

/**
 * @typedef {object} Position
 * @property {string} epoch
 * @property {number} revision
 */

/**
 * @typedef {object} Snapshot
 * @property {{service: string, environment: string, version: number, revision: number, config: any}} envelope
 * @property {string} etag
 * @property {string} epoch
 * @property {boolean} stale
 * @property {boolean} retired
 */

/** @typedef {{kind: string, data: string, id: string}} StreamEvent */

/**
 * How long is waited for what, in milliseconds, but for `streamFailures`.
 * @typedef {typeof TIMING} Timing
 */
export const TIMING = Object.freeze({
  fetchTimeout: 10_000, // for a whole fetch; a long poll has `pollWait` on top
  readyWithin: 10_000, // a stream that says nothing for so long at its start is held back by a proxy
  heartbeat: 45_000, // an open stream without a byte for so long is dead: bookmarks come every 15 s
  stable: 10_000, // a stream on which something is heard after so long works
  firstPause: 1_000, // before the second attempt, at most; doubled for each further one
  longestPause: 30_000, // between two attempts, at most
  resyncJitter: 5_000, // after `resync` clients spread their fetches over so long
  pollWait: 30_000, // how long the server holds a long poll
  pollEvery: 10_000, // between polls that the server, or a proxy, answers at once
  streamFailures: 3, // after so many failures in a row it polls
  streamAgain: 300_000, // after so long of polling a stream is tried again
});

const AWAY = 503;
const PASSING = new Set([408, 412, 425, 429]);
const NO_STREAM = new Set([404, 405, 406, 501]);
const MAX_RETRY = 300_000;
const MAX_EVENT = 16 * 1024 * 1024;
const SHORTEST_WAIT = 1_000;
const FORMAT = 1;

/** The server refuses, or there is nothing to start with. */
export class ConfigError extends Error {
  /**
   * @param {number} status the HTTP status; 503 when the server is away and there is no copy
   * @param {string} detail
   * @param {string} [code] the stable code of the server's answer
   */
  constructor(status, detail, code = "") {
    super(`${status}: ${detail}`);
    this.name = "ConfigError";
    this.status = status;
    this.code = code;
  }
}

/** The server cannot be reached or is not well: asking again, `retryAfter` ms later, may help. */
class AwayError extends Error {
  /** @param {string} detail @param {number} [retryAfter] */
  constructor(detail, retryAfter = 0) {
    super(detail);
    this.retryAfter = retryAfter;
  }
}

/** There are no streams at this address; only polling is left. */
class NoStreamError extends AwayError {}

/**
 * The configuration of `service`, fetched once. The last good copy is used, marked `stale`, when the
 * server is away or refuses.
 * @param {string} service
 * @param {Options} [options]
 * @returns {Promise<Config>}
 * @throws {ConfigError} when there is no such copy either
 * @throws {TypeError} for an instance or unit that cannot be sent
 */
export async function connect(service, options = {}) {
  const log = options.log ?? ((level, text) => console[level](`configsvc: ${text}`));
  const timing = { ...TIMING, ...options.timing };
  const remote = new Remote(service, options, timing);
  const copy = await findCopy(service, remote.environment, options);
  const state = new State(await firstSnapshot(remote, copy, log), copy, log);
  return new Config(service, state, () => new Watcher(remote, state, timing, log));
}

/** The configuration of one service; `get` answers from memory. Made by `connect`. */
export class Config {
  #state;
  #makeWatcher;
  /** @type {Watcher | null} */
  #watcher = null;

  /**
   * @param {string} service
   * @param {State} state
   * @param {() => Watcher} makeWatcher
   */
  constructor(service, state, makeWatcher) {
    this.service = service;
    this.#state = state;
    this.#makeWatcher = makeWatcher;
  }

  /** The whole configuration, as a copy that is the caller's own. */
  get document() {
    return own(this.#state.snapshot.envelope.config);
  }

  /** The version that is in use. */
  get version() {
    return this.#state.snapshot.envelope.version;
  }

  /** Whether it is the copy, or the server answers without its database. */
  get stale() {
    return this.#state.snapshot.stale;
  }

  /** Whether the configuration was retired; what it was last stays in use. */
  get retired() {
    return this.#state.snapshot.retired;
  }

  /**
   * The value at `settings.timeout`, `hosts[0]` or `settings["a.b"]`, else `otherwise`. Objects and
   * lists are copies.
   * @param {string} key
   * @param {any} [otherwise]
   * @throws {SyntaxError} for a text that is no key
   */
  get(key, otherwise) {
    let node = this.#state.snapshot.envelope.config;
    for (const step of parseKey(key)) {
      if (!hasStep(node, step)) return otherwise;
      node = node[step];
    }
    return own(node);
  }

  /**
   * Call `callback(config)` after each new state, or after changes of `key`, which may be a pattern
   * (`*` one step or part of one, `**` any number of steps). Begins to watch. A callback that fails is
   * logged.
   * @param {(config: Config) => unknown} callback
   * @param {string} [key]
   * @returns {() => void} ends it
   * @throws {SyntaxError} for a text that is no pattern
   */
  onChange(callback, key = "") {
    const end = this.#state.listen(() => callback(this), key ? new Pattern(key) : null);
    this.start();
    return end;
  }

  /** Watch; harmless when it does already. */
  start() {
    if (this.#watcher) return;
    this.#watcher = this.#makeWatcher();
    this.#watcher.run();
  }

  /** Stop watching; what is in memory stays, and `start` goes on from there. In Node this lets a process end. */
  close() {
    this.#watcher?.stop();
    this.#watcher = null;
  }
}

// -- what is served now ------------------------------------------------------------------------

/** The present snapshot, the one place where it is replaced, and those who want to know. */
class State {
  /** @type {Set<{listener: () => unknown, pattern: Pattern | null}>} */
  #listeners = new Set();
  #copy;
  #log;

  /**
   * @param {Snapshot} first
   * @param {Copy | null} copy
   * @param {NonNullable<Options["log"]>} log
   */
  constructor(first, copy, log) {
    this.snapshot = first;
    this.#copy = copy;
    this.#log = log;
  }

  /** @param {() => unknown} listener @param {Pattern | null} pattern */
  listen(listener, pattern) {
    const entry = { listener, pattern };
    this.#listeners.add(entry);
    return () => void this.#listeners.delete(entry);
  }

  /**
   * Replace the snapshot by what the server says, tell, and return whether it is another.
   * @param {Answer} answer
   * @throws {AwayError} for a version before ours of the same epoch: that server is behind
   */
  async take(answer) {
    const old = this.snapshot;
    const next = followedBy(old, answer);
    if (isOlder(next, old)) {
      throw new AwayError(`The server is behind: version ${next.envelope.version}, not ${old.envelope.version}.`);
    }
    this.snapshot = next;
    if (isOther(next, old)) await writeCopy(this.#copy, next, this.#log);
    return this.#tell(old, next);
  }

  /** The server says that it is retired: keep the last state, and tell once. */
  retire() {
    const old = this.snapshot;
    this.snapshot = { ...old, retired: true };
    if (!old.retired) this.#log("warn", `The configuration is retired: keeping version ${old.envelope.version}.`);
    this.#tell(old, this.snapshot);
  }

  /** @param {Snapshot} old @param {Snapshot} next */
  #tell(old, next) {
    const paths = old.envelope === next.envelope ? [] : [...changes(old.envelope.config, next.envelope.config)];
    const moved = paths.length > 0 || old.envelope.version !== next.envelope.version || old.retired !== next.retired;
    for (const { listener, pattern } of [...this.#listeners]) {
      if (!(pattern ? paths.some((path) => pattern.covers(path)) : moved)) continue;
      try {
        Promise.resolve(listener()).catch((error) => this.#log("error", `A callback failed: ${error}`));
      } catch (error) {
        this.#log("error", `A callback failed: ${error}`);
      }
    }
    return moved;
  }
}

/** @param {Snapshot} old @param {Answer} answer @returns {Snapshot} */
function followedBy(old, answer) {
  return {
    envelope: answer.envelope ?? old.envelope,
    etag: answer.etag,
    epoch: answer.position?.epoch ?? old.epoch,
    stale: answer.stale,
    retired: false,
  };
}

/** @param {Snapshot} one @param {Snapshot} other */
function isOlder(one, other) {
  return one.epoch === other.epoch && one.envelope.version < other.envelope.version;
}

/** @param {Snapshot} one @param {Snapshot} other */
function isOther(one, other) {
  return one.envelope !== other.envelope || one.etag !== other.etag || one.epoch !== other.epoch;
}

/**
 * One fetch, and the copy where it fails.
 * @param {Remote} remote
 * @param {Copy | null} copy
 * @param {NonNullable<Options["log"]>} log
 * @returns {Promise<Snapshot>}
 */
async function firstSnapshot(remote, copy, log) {
  const kept = await readCopy(copy, remote, log);
  /** @type {Answer} */
  let answer;
  try {
    answer = await remote.fetch({ etag: kept?.etag });
  } catch (error) {
    if (!(error instanceof AwayError || error instanceof ConfigError)) throw error;
    if (!kept) {
      if (error instanceof ConfigError) throw error;
      throw new ConfigError(AWAY, `The server is away and there is no copy: ${error.message}`);
    }
    const refused = error instanceof ConfigError;
    log(refused ? "error" : "warn", `${refused ? "The server refuses" : "The server is away"} (${error.message}): using the copy.`);
    return { ...kept, retired: refused && error.status === 410 };
  }
  if (!kept && !answer.envelope) throw new ConfigError(204, "The server answered nothing to the first fetch.");
  const none = /** @type {any} */ ({ envelope: null, etag: "", epoch: "", stale: false, retired: false });
  const first = followedBy(kept ?? none, answer);
  if (kept && isOlder(first, kept)) {
    log("warn", "The server is behind the copy: using the copy.");
    return kept;
  }
  if (!kept || isOther(first, kept)) await writeCopy(copy, first, log);
  return first;
}

// -- the server --------------------------------------------------------------------------------

/**
 * The state as the server knows it; without `envelope` it is what the caller has already.
 * @typedef {{envelope: Snapshot["envelope"] | null, etag: string, position: Position | null, stale: boolean}} Answer
 */

/** One configuration on one server: fetching with validators, and its event stream. */
class Remote {
  #url;
  #token;
  #timing;
  /** @type {Record<string, string>} */
  #headers = {};
  /** The reconnection time that the last stream gave, in ms. @type {number | undefined} */
  retry;

  /** @param {string} service @param {Options} options @param {Timing} timing */
  constructor(service, options, timing) {
    this.service = service;
    this.environment = options.environment ?? variable("ENVIRONMENT");
    this.#url = new URL(options.url ?? variable("URL") ?? globalThis.location?.origin ?? "http://127.0.0.1:8000", globalThis.location?.href);
    this.#token = options.token ?? defaultToken;
    this.#timing = timing;
    const named = { "X-Config-Instance": options.instance ?? variable("INSTANCE"), "X-Config-Unit": options.unit };
    for (const [name, value] of Object.entries(named)) {
      if (!value) continue;
      if (!/^[\x20-\x7e]+$/.test(value)) throw new TypeError(`${name} has characters that cannot be sent.`);
      this.#headers[name] = value;
    }
  }

  /**
   * The configuration, when it is not the one that `etag` names. `atLeast` is a revision that the
   * server must have seen; with `after` and `wait` (ms) it is a long poll.
   * @param {{etag?: string, atLeast?: Position | null, after?: Position | null, wait?: number, signal?: AbortSignal}} asked
   * @returns {Promise<Answer>}
   * @throws {ConfigError} for what is refused
   * @throws {AwayError} for all that may pass
   */
  async fetch({ etag = "", atLeast = null, after = null, wait = 0, signal } = {}) {
    const query = new URLSearchParams(this.environment ? { environment: this.environment } : {});
    if (atLeast) query.set("min_revision", written(atLeast));
    const waits = after !== null && wait > 0;
    if (after && waits) {
      query.set("after", written(after));
      query.set("wait", String(wait / 1000));
    }
    const limit = this.#timing.fetchTimeout + (waits ? wait : 0);
    const headers = { Accept: "application/json", ...(etag ? { "If-None-Match": etag } : {}) };
    return bounded(limit, signal, async (inner) => {
      const response = await this.#ask(`config/${encodeURIComponent(this.service)}`, query, headers, inner);
      const epoch = response.headers.get("X-Config-Epoch");
      const position = parsePosition(`${epoch}-${response.headers.get("X-Config-Revision")}`);
      const stale = response.headers.has("X-Config-Stale");
      if (response.status === 204 || response.status === 304) return { envelope: null, etag, position, stale };
      const text = await response.text();
      if (response.status !== 200) throw refusal(response, text);
      return { envelope: readEnvelope(text), etag: response.headers.get("ETag") ?? "", position, stale };
    });
  }

  /**
   * Events after `cursor` until the server ends the stream.
   * @param {Position | null} cursor
   * @param {AbortSignal} signal
   * @returns {AsyncGenerator<StreamEvent>}
   */
  async *stream(cursor, signal) {
    const query = new URLSearchParams({ service: this.service });
    if (this.environment) query.set("environment", this.environment);
    /** @type {Record<string, string>} */
    const headers = { Accept: "text/event-stream" };
    if (cursor) headers["Last-Event-ID"] = written(cursor);
    const silence = new Silence(signal);
    try {
      silence.within(this.#timing.readyWithin);
      const response = await this.#ask("stream", query, headers, silence.signal);
      if (NO_STREAM.has(response.status)) throw new NoStreamError(`The server answers ${response.status} for a stream.`);
      if (response.status !== 200) throw refusal(response, await response.text());
      const type = response.headers.get("Content-Type") ?? "";
      if (!response.body || !type.startsWith("text/event-stream")) {
        throw new NoStreamError("There is something else at the stream's address.");
      }
      const reader = response.body.getReader();
      const events = new EventReader();
      let heard = false;
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        if (heard) silence.within(this.#timing.heartbeat);
        for (const event of events.feed(value)) {
          if (!heard) silence.within(this.#timing.heartbeat);
          heard = true;
          this.retry = events.retry;
          yield event;
        }
      }
    } catch (error) {
      throw asAway(error, silence.signal.aborted ? "The stream was silent for too long." : "");
    } finally {
      silence.end(); // closes the connection too
    }
  }

  /**
   * @param {string} path
   * @param {URLSearchParams} query
   * @param {Record<string, string>} headers
   * @param {AbortSignal} signal
   */
  async #ask(path, query, headers, signal) {
    const token = typeof this.#token === "function" ? await this.#token() : this.#token;
    if (token && !/^[\x21-\x7e]+$/.test(token)) throw new ConfigError(401, "The token has characters that cannot be sent.");
    const address = new URL(`${this.#url.pathname.replace(/\/$/, "")}/${path}?${query}`, this.#url);
    const authorized = token ? { Authorization: `Bearer ${token}` } : {};
    const credentials = token ? "omit" : "same-origin";
    const asked = { ...this.#headers, ...headers, ...authorized };
    const response = await fetch(address, { headers: asked, signal, credentials, redirect: "manual", cache: "no-store" });
    if (response.type === "opaqueredirect" || (response.status >= 300 && response.status < 400 && response.status !== 304)) {
      throw new ConfigError(response.status || 302, "The server leads elsewhere: is the URL right?");
    }
    return response;
  }
}

/** Aborts when nothing is heard for a while, or when `outer` is aborted. */
class Silence {
  #controller = new AbortController();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #outer;
  #stop = () => this.#controller.abort();

  /** @param {AbortSignal | undefined} outer */
  constructor(outer) {
    this.#outer = outer;
    if (outer?.aborted) this.#stop();
    outer?.addEventListener("abort", this.#stop);
  }

  get signal() {
    return this.#controller.signal;
  }

  /** @param {number} milliseconds */
  within(milliseconds) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#stop, milliseconds);
  }

  end() {
    clearTimeout(this.#timer);
    this.#outer?.removeEventListener("abort", this.#stop);
    this.#stop();
  }
}

/**
 * What `act` gives within `limit` ms; whatever the network does is an AwayError.
 * @template T
 * @param {number} limit
 * @param {AbortSignal | undefined} outer
 * @param {(signal: AbortSignal) => Promise<T>} act
 */
async function bounded(limit, outer, act) {
  const silence = new Silence(outer);
  silence.within(limit);
  try {
    return await act(silence.signal);
  } catch (error) {
    throw asAway(error, silence.signal.aborted ? "The answer took too long." : "");
  } finally {
    silence.end();
  }
}

/** @param {unknown} error @param {string} why */
function asAway(error, why) {
  if (error instanceof AwayError || error instanceof ConfigError) return error;
  const cause = /** @type {any} */ (error)?.cause;
  return new AwayError(why || [/** @type {any} */ (error)?.message ?? error, cause?.message].filter(Boolean).join(": "));
}

/** @param {Response} response @param {string} text */
function refusal(response, text) {
  let detail = "";
  let code = "";
  try {
    const problem = JSON.parse(text);
    detail = String(problem?.detail ?? "");
    code = String(problem?.code ?? "");
  } catch {
    // not a problem document: a proxy's page
  }
  const { status } = response;
  if (status >= 500 || PASSING.has(status)) {
    const seconds = response.headers.get("Retry-After") ?? "";
    return new AwayError(`${status}: ${detail}`, Math.min(/^\d+$/.test(seconds) ? Number(seconds) * 1000 : 0, MAX_RETRY));
  }
  if (status < 300) return new AwayError(`The answer is ${status}, which no configuration service gives.`);
  return new ConfigError(status, detail || "The server gives no reason.", code);
}

/** @param {string} text @returns {Snapshot["envelope"]} */
function readEnvelope(text) {
  let envelope;
  try {
    envelope = JSON.parse(text);
  } catch {
    throw new AwayError("The answer is not JSON: a proxy's page?");
  }
  if (!isEnvelope(envelope)) throw new AwayError("The answer is not one of a configuration service.");
  return envelope;
}

/** @param {any} value */
function isEnvelope(value) {
  if (value === null || typeof value !== "object" || !("config" in value)) return false;
  const named = typeof value.service === "string" && typeof value.environment === "string";
  return named && Number.isInteger(value.version) && Number.isInteger(value.revision);
}

// -- watching ----------------------------------------------------------------------------------

/** Follows one configuration from `run` to `stop`: by stream, and by polls where that fails; used once. */
class Watcher {
  #remote;
  #state;
  #timing;
  #log;
  #ended = new AbortController();
  /** @type {() => void} */
  #wake = () => {};
  /** @type {Position | null} */
  #cursor = null;
  #pending = false;
  #failures = 0;
  #streamFailures = 0;
  #streamWorked = false;
  /** @type {number | null} */
  #pollUntil = null;
  #pollWait;
  #refused = "";
  #online = () => this.#wake();

  /**
   * @param {Remote} remote
   * @param {State} state
   * @param {Timing} timing
   * @param {NonNullable<Options["log"]>} log
   */
  constructor(remote, state, timing, log) {
    this.#remote = remote;
    this.#state = state;
    this.#timing = timing;
    this.#log = log;
    this.#pollWait = timing.pollWait;
  }

  async run() {
    globalThis.addEventListener?.("online", this.#online);
    while (!this.#ended.signal.aborted) {
      const pause = await this.#attempt();
      await this.#sleep(pause);
    }
    globalThis.removeEventListener?.("online", this.#online);
  }

  stop() {
    this.#ended.abort();
    this.#wake();
  }

  /** One stream, or one poll; returns how long to wait before the next. */
  async #attempt() {
    try {
      if (this.#pollUntil !== null && performance.now() < this.#pollUntil) return await this.#poll();
      return await this.#follow();
    } catch (error) {
      if (this.#ended.signal.aborted) return 0;
      if (error instanceof ConfigError) this.#noteRefusal(error);
      else if (!(error instanceof AwayError)) this.#log("error", `Watching failed; it goes on: ${error}`);
      this.#noteFailure(error);
      if (error instanceof AwayError) return error.retryAfter + this.#backOff();
      return spread(this.#timing.longestPause);
    }
  }

  /** @returns {Promise<number>} */
  async #follow() {
    this.#pollUntil = null;
    this.#pending = false;
    const opened = performance.now();
    for await (const event of this.#remote.stream(this.#cursor, this.#ended.signal)) {
      await this.#take(event);
      if (performance.now() - opened >= this.#timing.stable) {
        this.#noteSuccess();
        this.#streamFailures = 0;
        this.#streamWorked = true;
      }
    }
    throw new AwayError("The stream ended.");
  }

  /**
   * Act on an event. The cursor moves when all up to its id was read and fetched, not before: a
   * stream cut within a revision is resumed in front of it.
   * @param {StreamEvent} event
   */
  async #take(event) {
    if (event.kind === "ready") {
      const position = positionIn(event.data);
      const cursor = this.#cursor;
      if (!cursor || (position.epoch === cursor.epoch && position.revision >= cursor.revision)) await this.#refresh(position);
      this.#cursor ??= position;
    } else if (event.kind === "resync") {
      const position = positionIn(event.data);
      await this.#sleep(Math.random() * this.#timing.resyncJitter);
      await this.#refresh(position);
      this.#cursor = position;
      this.#pending = false;
    } else if (event.kind === "changed") {
      this.#pending = true;
    }
    if (event.id) {
      const position = parsePosition(event.id);
      if (!position) throw new AwayError("An id of the stream cannot be read.");
      if (this.#pending || !this.#cursor) await this.#refresh(position);
      this.#cursor = position;
      this.#pending = false;
    }
  }

  /** Fetch a state that is no older than `atLeast`. @param {Position} atLeast */
  async #refresh(atLeast) {
    const signal = this.#ended.signal;
    const { etag } = this.#state.snapshot;
    try {
      const answer = await this.#remote.fetch({ etag, atLeast, signal }).catch((error) => {
        if (!(error instanceof ConfigError && error.status === 409)) throw error;
        return this.#remote.fetch({ etag, signal }); // the epoch moved on meanwhile
      });
      await this.#state.take(answer);
    } catch (error) {
      if (!(error instanceof ConfigError && error.status === 410)) throw error;
      this.#state.retire();
    }
  }

  /** One long poll, or a plain one where there is nothing to wait after. */
  async #poll() {
    const began = performance.now();
    const { etag } = this.#state.snapshot;
    const after = this.#cursor;
    /** @type {Answer} */
    let answer;
    try {
      answer = await this.#remote.fetch({ etag, after, wait: this.#pollWait, signal: this.#ended.signal });
    } catch (error) {
      if (error instanceof ConfigError && error.status === 410) {
        this.#state.retire();
        this.#notePoll();
        return spread(this.#timing.pollEvery);
      }
      if (error instanceof AwayError) {
        const halved = this.#pollWait / 2; // a proxy may not let requests wait for long
        this.#pollWait = halved >= SHORTEST_WAIT ? halved : 0;
      }
      throw error;
    }
    const moved = await this.#state.take(answer);
    this.#cursor = answer.position;
    this.#notePoll();
    if (moved) return spread(this.#timing.firstPause);
    const waited = performance.now() - began >= 1_000;
    const mayWait = after === null && this.#cursor !== null && this.#pollWait > 0;
    return waited || mayWait ? 0 : spread(this.#timing.pollEvery);
  }

  /** After an outage a stream that worked before it is tried at once. */
  #notePoll() {
    if (this.#failures && this.#streamWorked) this.#pollUntil = null;
    this.#noteSuccess();
  }

  #noteSuccess() {
    if (this.#refused) this.#log("info", "The server serves the configuration again.");
    this.#failures = 0;
    this.#refused = "";
  }

  /** @param {ConfigError} error */
  #noteRefusal(error) {
    if (error.message === this.#refused) return; // said once, not at each attempt
    this.#refused = error.message;
    this.#log("error", `The server refuses (${error.message}): the last state stays in use.`);
  }

  /** @param {unknown} error */
  #noteFailure(error) {
    this.#failures += 1;
    if (this.#pollUntil !== null) return; // it was a poll
    this.#streamFailures += 1;
    const limit = this.#timing.streamFailures;
    if (!(error instanceof NoStreamError) && this.#streamFailures < limit) return;
    this.#streamFailures = limit - 1; // then one more failure leads back to polls
    this.#pollWait = this.#timing.pollWait;
    this.#pollUntil = performance.now() + spread(this.#timing.streamAgain);
  }

  /** Exponential, with full jitter: anything from nothing to the limit. */
  #backOff() {
    const first = this.#remote.retry ?? this.#timing.firstPause;
    const limit = first * 2 ** Math.min(this.#failures - 1, 16);
    return Math.random() * Math.min(limit, this.#timing.longestPause);
  }

  /** @param {number} milliseconds */
  #sleep(milliseconds) {
    if (this.#ended.signal.aborted) return Promise.resolve();
    return new Promise((done) => {
      const timer = setTimeout(done, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        done(undefined);
      };
    });
  }
}

/** Turns bytes, cut anywhere, into server-sent events (WHATWG HTML, 9.2.6). */
class EventReader {
  /** The last reconnection time that the stream gave, in ms. @type {number | undefined} */
  retry;
  #decoder = new TextDecoder();
  #rest = "";
  #afterReturn = false;
  #size = 0;
  #kind = "";
  #id = "";
  /** @type {string[]} */
  #data = [];

  /** @param {Uint8Array} chunk @returns {Generator<StreamEvent>} */
  *feed(chunk) {
    let text = this.#decoder.decode(chunk, { stream: true });
    if (!text) return;
    if (this.#afterReturn && text.startsWith("\n")) text = text.slice(1);
    this.#afterReturn = text.endsWith("\r");
    const lines = (this.#rest + text).split(/\r\n|\r|\n/);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      const event = line ? this.#take(line) : this.#dispatch();
      if (event) yield event;
    }
    if (this.#size + this.#rest.length > MAX_EVENT) throw new AwayError("An event is too long.");
  }

  /** @param {string} line */
  #take(line) {
    this.#size += line.length;
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "data") this.#data.push(value);
    else if (name === "event") this.#kind = value;
    else if (name === "id" && !value.includes("\0")) this.#id = value;
    else if (name === "retry" && /^\d{1,9}$/.test(value)) this.retry = Number(value);
    return null;
  }

  /** @returns {StreamEvent | null} */
  #dispatch() {
    const has = this.#data.length > 0;
    const event = { kind: has ? this.#kind || "message" : "", data: this.#data.join("\n"), id: this.#id };
    this.#kind = this.#id = "";
    this.#data = [];
    this.#size = 0;
    return has || event.id ? event : null;
  }
}

/** @param {number} milliseconds */
function spread(milliseconds) {
  return milliseconds * (0.5 + Math.random() / 2);
}

/** @param {Position} position */
function written(position) {
  return `${position.epoch}-${position.revision}`;
}

/** @param {string} text @returns {Position | null} */
function parsePosition(text) {
  const match = /^(.+)-(\d+)$/.exec(text);
  return match && match[1] !== "null" ? { epoch: match[1], revision: Number(match[2]) } : null;
}

/** @param {string} data */
function positionIn(data) {
  try {
    const { epoch, revision } = JSON.parse(data);
    const position = parsePosition(`${epoch}-${revision}`);
    if (position) return position;
  } catch {
    // said below
  }
  throw new AwayError("An event of the stream cannot be read.");
}

// -- keys and patterns -------------------------------------------------------------------------

/** @typedef {string | number} Step */
/** @typedef {{text: string, quoted: boolean, index: boolean}} WrittenStep */

const STEP = /([^.[\]"\\]+)|\[(\d{1,9})\]|\["((?:[^"\\]|\\.)*)"\]|\[(\*)\]/y;

/** @param {string} text @returns {WrittenStep[]} */
function steps(text) {
  /** @type {WrittenStep[]} */
  const found = [];
  let position = 0;
  while (position < text.length) {
    const dotted = position > 0 && text[position] === ".";
    STEP.lastIndex = position + Number(dotted);
    const match = STEP.exec(text);
    const named = match?.[1] !== undefined;
    if (!match || (dotted && !named) || (named && position > 0 && !dotted)) {
      throw new SyntaxError(`This is no key, at column ${position + 1}: ${text}`);
    }
    const [, name, index, quoted, any] = match;
    const isQuoted = quoted !== undefined;
    found.push({ text: isQuoted ? quoted.replace(/\\(.)/g, "$1") : name ?? index ?? any, quoted: isQuoted, index: index !== undefined });
    if (any) found[found.length - 1].text = "*";
    position = STEP.lastIndex;
  }
  return found;
}

/** @param {string} text @returns {Step[]} */
function parseKey(text) {
  if (/\[\*\]/.test(text.replace(/\["(?:[^"\\]|\\.)*"\]/g, ""))) throw new SyntaxError(`A pattern, where one key is needed: ${text}`);
  return steps(text).map((step) => (step.index ? Number(step.text) : step.text));
}

/** @param {any} node @param {Step} step */
function hasStep(node, step) {
  if (Array.isArray(node)) return typeof step === "number" && step < node.length;
  return node !== null && typeof node === "object" && typeof step === "string" && Object.hasOwn(node, step);
}

/**
 * A glob over paths: `*` is one step or part of one (`db_*`), `**` any number of steps. One that
 * matches an object or list is about everything in it. What stands in `["…"]` is taken as it is.
 */
class Pattern {
  /** `null` is any number of steps. @type {(RegExp | null)[]} */
  #steps;

  /** @param {string} text */
  constructor(text) {
    this.#steps = steps(text).map((step) => {
      if (step.text === "**" && !step.quoted) return null;
      const literal = (/** @type {string} */ part) => part.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
      const parts = step.quoted ? [step.text] : step.text.split("*");
      return new RegExp(`^(?:${parts.map(literal).join(".*")})$`, "su");
    });
  }

  /** Whether it matches `path`, or something that `path` lies in. @param {Step[]} path */
  covers(path) {
    const end = this.#steps.length;
    let states = this.#reach(new Set([0]));
    for (const step of path) {
      if (states.has(end)) return true;
      const moved = new Set();
      for (const state of states) {
        const matcher = this.#steps[state];
        if (matcher === null) moved.add(state);
        else if (matcher?.test(String(step))) moved.add(state + 1);
      }
      states = this.#reach(moved);
    }
    return states.has(end);
  }

  /** `**` may also take no step at all. @param {Set<number>} states */
  #reach(states) {
    this.#steps.forEach((matcher, state) => {
      if (matcher === null && states.has(state)) states.add(state + 1);
    });
    return states;
  }
}

/** @param {any} value */
function isObject(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

/**
 * The path of every scalar and empty container that differs.
 * @param {any} old
 * @param {any} next
 * @param {Step[]} [path]
 * @returns {Generator<Step[]>}
 */
function* changes(old, next, path = []) {
  if (isObject(old) && isObject(next)) {
    for (const key of new Set([...Object.keys(old), ...Object.keys(next)])) {
      yield* changes(mine(old, key), mine(next, key), [...path, key]);
    }
  } else if (Array.isArray(old) && Array.isArray(next)) {
    for (let index = 0; index < Math.max(old.length, next.length); index += 1) {
      yield* changes(old[index], next[index], [...path, index]);
    }
  } else if (old !== next) {
    yield* leaves(old, path);
    yield* leaves(next, path);
  }
}

/** @param {any} object @param {string} key */
function mine(object, key) {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

/** @param {any} value @param {Step[]} path @returns {Generator<Step[]>} */
function* leaves(value, path) {
  if (value === undefined) return;
  const inside = value !== null && typeof value === "object" ? Object.entries(value) : [];
  if (inside.length === 0) yield path;
  for (const [key, child] of inside) yield* leaves(child, [...path, Array.isArray(value) ? Number(key) : key]);
}

/** A copy of a JSON value that the caller may change. @param {any} value @returns {any} */
function own(value) {
  return value !== null && typeof value === "object" ? structuredClone(value) : value;
}

// -- the last good copy ------------------------------------------------------------------------

/**
 * @param {Copy | null} copy
 * @param {Remote} remote
 * @param {NonNullable<Options["log"]>} log
 * @returns {Promise<Snapshot | null>}
 */
async function readCopy(copy, remote, log) {
  if (!copy) return null;
  try {
    const text = await copy.read();
    if (text === null || text === undefined) return null;
    const { format, sha256, content } = JSON.parse(text);
    const kept = JSON.parse(content);
    const same = (/** @type {string | undefined} */ one, /** @type {string} */ other) => !one || one.toLowerCase() === other.toLowerCase();
    const whole = format === FORMAT && (await isOfDigest(content, sha256)) && isEnvelope(kept.envelope);
    if (!whole || !same(remote.service, kept.envelope.service) || !same(remote.environment, kept.envelope.environment)) {
      throw new Error("it is damaged, or of something else");
    }
    return { envelope: kept.envelope, etag: String(kept.etag), epoch: String(kept.epoch), stale: true, retired: false };
  } catch (error) {
    log("warn", `The copy cannot be used: ${/** @type {Error} */ (error).message}.`);
    return null;
  }
}

/**
 * @param {Copy | null} copy
 * @param {Snapshot} snapshot
 * @param {NonNullable<Options["log"]>} log
 */
async function writeCopy(copy, { envelope, etag, epoch }, log) {
  if (!copy) return;
  const content = JSON.stringify({ envelope, etag, epoch });
  try {
    await copy.write(JSON.stringify({ format: FORMAT, sha256: await digest(content), content }));
  } catch (error) {
    log("warn", `The copy could not be written: ${/** @type {Error} */ (error).message}.`);
  }
}

/** The SHA-256 in hex; empty where there is none (a page without HTTPS). @param {string} text */
async function digest(text) {
  const subtle = globalThis.crypto?.subtle ?? (await nodeModule("crypto"))?.webcrypto.subtle;
  if (!subtle) return "";
  const bytes = new Uint8Array(await subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {string} text @param {string} expected */
async function isOfDigest(text, expected) {
  const found = await digest(text);
  return !found || found === expected;
}

/**
 * @param {string} service
 * @param {string | undefined} environment
 * @param {Options} options
 * @returns {Promise<Copy | null>}
 */
async function findCopy(service, environment, options) {
  const cache = options.cache ?? variable("CACHE_DIR");
  if (!cache) return null;
  if (typeof cache === "object") return cache;
  const variant = options.unit ? `+${options.unit}` : ""; // units are served different documents
  const name = [service.toLowerCase(), environment?.toLowerCase()].filter(Boolean).join("@") + variant;
  const files = await nodeModule("fs");
  if (files && typeof cache === "string") return fileCopy(files, cache, `${encodeURIComponent(name)}.js.json`);
  return { read: () => localStorage.getItem(`configsvc:${name}`), write: (text) => localStorage.setItem(`configsvc:${name}`, text) };
}

/**
 * A file (0600), replaced as a whole.
 * @param {any} files Node's `fs`
 * @param {string} folder
 * @param {string} name
 * @returns {Copy}
 */
function fileCopy({ promises }, folder, name) {
  const path = `${folder}/${name}`;
  return {
    async read() {
      try {
        return await promises.readFile(path, "utf8");
      } catch (error) {
        if (/** @type {any} */ (error).code === "ENOENT") return null;
        throw error;
      }
    },
    async write(text) {
      await promises.mkdir(folder, { recursive: true, mode: 0o700 });
      const beside = `${folder}/.${name}.${globalThis.process.pid}.${Math.random().toString(36).slice(2)}`;
      try {
        const file = await promises.open(beside, "wx", 0o600);
        try {
          await file.writeFile(text);
          await file.sync();
        } finally {
          await file.close();
        }
        await promises.rename(beside, path);
      } catch (error) {
        await promises.rm(beside, { force: true });
        throw error;
      }
    },
  };
}

// -- Node and browser --------------------------------------------------------------------------

/** A module of Node's, or `null` in a browser. @param {string} name @returns {Promise<any>} */
async function nodeModule(name) {
  return globalThis.process?.versions?.node ? import(`node:${name}`) : null;
}

/** The variable `CONFIGSVC_name`, in Node; an empty one is none. @param {string} name */
function variable(name) {
  return globalThis.process?.env?.[`CONFIGSVC_${name}`] || undefined;
}

async function defaultToken() {
  const path = variable("TOKEN_FILE");
  if (!path) return variable("TOKEN") ?? "";
  try {
    return (await (await nodeModule("fs")).promises.readFile(path, "utf8")).trim();
  } catch {
    throw new ConfigError(401, `The token file ${path} cannot be read.`);
  }
}
