// pollcast's client: a URL becomes a live object. Apache-2.0.
//
//   import { live } from '/pollcast.js';
//   const orders = live('/orders');
//   orders.on('/0/status', (status) => show(status));
//
// Rules: a document is never mutated, a part that did not change keeps its identity, and nothing is
// ever shown that the upstream did not serve. What cannot be continued begins with a snapshot.

// Milliseconds:
const TICK = 5e3; //      how often silence is looked at
const PATIENCE = 15e3; // silence after which a sign of life is asked for
const LONG = 3e4; //      silence that is too long for one who just woke, and the longest backoff
const NAP = 9e4; //       a timer this late means that the computer slept
const MOST = 2e9; //      a timer that is to wait longer than about this does not wait at all
const NAMES = 'snapshot patch merge added changed removed reset status end'.split(' ');

const { document: page, EventSource: Source, location, navigator } = globalThis;
const { isArray } = Array;
const { entries, fromEntries, hasOwn, keys } = Object;
const isBranch = (value) => typeof value === 'object' && value !== null;
const isObject = (value) => isBranch(value) && !isArray(value);
const misfit = (what = 'a change') => {
  throw new Error(`${what} does not fit`);
};
const tokens = (pointer) => {
  if (/^[^/]|~(?![01])/.test(pointer)) misfit(pointer);
  return pointer.split('/').map((each) => each.replaceAll('~1', '/').replaceAll('~0', '~'));
};
/** Sets a member as data, whatever its name: `__proto__` is a name like others. */
const set = (object, name, value) =>
  Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true });

/** What is at an RFC 6901 pointer, or undefined. */
const at = (value, pointer) =>
  tokens(pointer).reduce((value, name) => (isBranch(value) && hasOwn(value, name) ? value[name] : undefined), { '': value });

/** `after`, in which all that equals its counterpart in `before` is that very counterpart. */
function keep(before, after) {
  if (before === after || !isBranch(before) || !isBranch(after)) return after;
  if (isArray(before) !== isArray(after)) return after;
  const names = keys(after);
  let isEqual = names.length === keys(before).length;
  for (const name of names) {
    isEqual = hasOwn(before, name) && (after[name] = keep(before[name], after[name])) === before[name] && isEqual;
  }
  return isEqual ? before : after;
}

/** The document that an RFC 6902 patch makes of `document`; throws if the patch does not fit. */
export function patch(document, operations) {
  const root = { '': document }; // so that the whole document has a parent, too
  const own = new Set(); //         copies made here, which may be written to
  const copy = (node) => {
    if (own.has(node) || !isBranch(node)) return node;
    const made = isArray(node) ? [...node] : { ...node };
    own.add(made);
    return made;
  };
  /** The name in `node`, which has it, or has room for it. */
  const step = (node, name, room = 0) => {
    if (isArray(node)) {
      const index = name === '-' ? node.length : /^(0|[1-9]\d*)$/.test(name) ? +name : Infinity;
      return index < node.length + room ? index : misfit();
    }
    return isBranch(node) && (room || hasOwn(node, name)) ? name : misfit();
  };
  /** The parent of what a pointer says, and its name there. */
  const find = (pointer, room) => {
    const names = tokens(pointer);
    const last = names.pop();
    const parent = names.reduce((node, name) => (node[step(node, name)] = copy(node[step(node, name)])), root);
    return [parent, step(parent, last, room)];
  };
  const read = (pointer) => tokens(pointer).reduce((node, name) => node[step(node, name)], root);
  const add = (pointer, value) => {
    const [parent, name] = find(pointer, 1);
    if (isArray(parent)) parent.splice(name, 0, value);
    else set(parent, name, value);
  };
  const remove = (pointer) => {
    const [parent, name] = find(pointer);
    const value = parent[name];
    if (isArray(parent)) parent.splice(name, 1);
    else delete parent[name];
    return value;
  };

  for (const { op, path, from, value } of operations) {
    if (value === undefined && /add|replace|test/.test(op)) misfit();
    if (op === 'add') add(path, value);
    else if (op === 'remove') remove(path);
    else if (op === 'replace') {
      const [parent, name] = find(path);
      parent[name] = value;
    } else if (op === 'move' && !path.startsWith(`${from}/`)) add(path, remove(from));
    else if (op === 'copy') {
      const held = read(from);
      own.clear(); // what stands in two places belongs to neither
      add(path, held);
    } else if (op !== 'test' || keep(read(path), value) !== read(path)) misfit();
  }
  return read('');
}

/** The document that an RFC 7396 merge patch makes of `held`. */
export function merge(held, change) {
  if (!isObject(change)) return keep(held, change);
  const merged = isObject(held) ? { ...held } : {};
  for (const [name, value] of entries(change)) {
    if (value === null) delete merged[name];
    else set(merged, name, merge(hasOwn(merged, name) ? merged[name] : undefined, value));
  }
  return merged;
}

/** The document after the item events of one change; its items are at `pointer`, told apart by `key`. */
function changeItems(document, events, { at: pointer = '', key } = {}) {
  const held = at(document, pointer);
  if (!isBranch(held) || isArray(held) !== (key !== undefined)) misfit();
  const named = new Map(key === undefined ? entries(held) : held.map((item) => [item[key], item]));
  if (named.size !== keys(held).length) misfit(); // numbers that JavaScript cannot tell apart
  for (const [name, { key, item }] of events) {
    if (name === 'removed') named.delete(key);
    else named.set(key, keep(named.get(key), item));
  }
  const value = key === undefined ? fromEntries(named) : [...named.values()];
  return patch(document, [{ op: 'replace', path: pointer, value }]);
}

/** Reads an event stream by the rules of WHATWG HTML, section 9.2.6, in whatever pieces it comes. */
function parser({ take, retry }) {
  let [rest, afterReturn, name, data, id] = ['', false, '', '', ''];
  const line = (text) => {
    if (!text) {
      if (data) take(name || 'message', data.slice(0, -1), id);
      name = data = id = '';
    }
    const [, field, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(text);
    if (field === 'data') data += `${value}\n`;
    if (field === 'event') name = value;
    if (field === 'id' && !value.includes('\0')) id = value;
    if (field === 'retry' && /^\d+$/.test(value)) retry(+value);
  };
  return (text) => {
    if (!text) return;
    const lines = text.slice(+(afterReturn && text[0] === '\n')).split(/\r\n?|\n/);
    afterReturn = text.endsWith('\r');
    lines[0] = rest + lines[0];
    rest = lines.pop();
    lines.forEach(line);
  };
}

/** Follows `url` with the browser's EventSource. Returns what ends it. */
function byEventSource(url, { credentials, names }, on) {
  const source = new Source(url, { withCredentials: credentials === 'include' });
  source.onopen = on.open;
  source.onerror = () => on.lost(source.readyState === 2);
  for (const name of names) {
    source.addEventListener(name, ({ data, lastEventId }) => on.take(name, data, lastEventId));
  }
  return () => source.close();
}

/** Follows `url` with fetch, once. Returns what ends it. */
function byFetch(url, { method, headers, body, credentials }, on) {
  const control = new AbortController();
  const follow = async () => {
    const asked = new Headers(typeof headers === 'function' ? await headers() : headers);
    asked.set('accept', 'text/event-stream');
    const { signal } = control;
    const response = await fetch(url, { method, headers: asked, body, credentials, signal, cache: 'no-store' });
    const { status } = response;
    const said = (name) => response.headers.get(name);
    const reason = status === 200 ? 'no event stream' : `HTTP ${status}`;
    if (/204|4(?!08|29)../.test(status)) return on.end(reason);
    if (status !== 200 || !/^text\/event-stream/i.test(said('content-type'))) {
      return on.fail(reason, said('retry-after') * 1e3 || 0);
    }
    on.open();
    const [reader, text, feed] = [response.body.getReader(), new TextDecoder(), parser(on)];
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return on.fail('closed');
      on.heard();
      feed(text.decode(value, { stream: true }));
    }
  };
  follow().catch((error) => on.fail(error?.message ?? error)); // `headers` may reject with anything
  return () => control.abort();
}

/** A document that is kept current. Events: change, state, reset, end, and event for each as it came. */
class Live extends EventTarget {
  document;
  state = 'connecting';
  #told = { since: new Date(), lastSuccess: null, reason: null };
  #url;
  #options;
  #names; //         the stream's names of events, to ours
  #id = ''; //       of the newest event that the document contains
  #pending = []; //  item events of a change whose last is still to come
  #turn = 0; //      counts connections, so that a late word of an old one is not heard
  #shut; //          ends the connection
  #gaveUp; //        EventSource did, so that fetch goes on
  #isTold; //        this connection has said how the feed is
  #retry = 3e3;
  #failures = 0;
  #heard = Date.now();
  #again; //         the timer of the next attempt
  #settling;
  #rests = false; // while the page is hidden away or frozen
  #watching; //      ends what the object watches over
  // Among tabs:
  #channel; //       its name, if tabs share
  #radio; //         the channel, while this tab takes part
  #tab = Math.random();
  #term = 0; //      when the leader became it; an older one has nothing to say
  #resign; //        gives leadership back; set while this tab leads
  #waiting; //       ends the wait for leadership
  #alive = 0; //     when the leader was last heard
  #asks = false; //  and has not been answered yet

  constructor(url, options = {}) {
    super();
    const { mode, items, headers, method, body, share, lastEventId = '', document, events = {} } = options;
    const address = (this.#url = new URL(url, page?.baseURI ?? location));
    if (mode || items) address.searchParams.set('mode', items ? 'items' : mode);
    this.#names = new Map(NAMES.map((name) => [events[name] ?? name, name].map((each) => each || 'message')));
    if (document !== undefined) [this.document, this.#id] = [document, lastEventId];
    this.#options = options;
    // Only what a plain request gets can be the same for all tabs.
    const isPlain = !headers && !method && !body;
    // Only a reader of our own sees which item event has the id, and so is a change's last.
    this.#gaveUp = !isPlain || items || !Source;
    if (isPlain && share && page && navigator.locks) {
      this.#channel = `pollcast ${address} ${JSON.stringify([share, items, options.events, options.credentials])}`;
    }
    this.#watch();
    this.#start();
  }

  /** { state, since, lastSuccess, reason, lastHeard }; times are Dates, or null where nothing is known. */
  get freshness() {
    return { state: this.state, ...this.#told, lastHeard: new Date(this.#heard) };
  }

  /** The id of the newest event that the document contains. */
  get lastEventId() {
    return this.#id;
  }

  /** Calls back with (value, before, pointer) when what is at this JSON Pointer changes. */
  on(pointer, call) {
    tokens(pointer); // a wrong one is told at once
    return this.#listen('change', ({ document, before }) => {
      const [now, then] = [at(document, pointer), at(before, pointer)];
      if (now !== then) call(now, then, pointer);
    });
  }

  /** The contract of Svelte's stores: calls back with the document, at once if there is one. */
  subscribe(call) {
    if (this.document !== undefined) call(this.document);
    return this.#listen('change', ({ document }) => call(document));
  }

  /** Ends it for good. */
  close() {
    this.#stop();
    this.#finish('closed');
  }

  #listen(name, call) {
    this.addEventListener(name, call);
    return () => this.removeEventListener(name, call);
  }

  #emit(name, what) {
    this.dispatchEvent(Object.assign(new Event(name), what));
  }

  #become(state, { since = new Date(), lastSuccess = null, reason = null } = {}) {
    if (state === 'connecting' && navigator?.onLine === false) state = 'offline';
    if (this.state === 'ended' || (state === this.state && reason === this.#told.reason)) return;
    this.state = state;
    this.#told = { since, lastSuccess, reason };
    this.#say();
    this.#emit('state', this.freshness);
  }

  #finish(reason) {
    if (this.state === 'ended') return;
    this.#become('ended', { reason });
    this.#stop();
    this.#watching.abort();
    this.#emit('end', { reason });
  }

  // ---------------------------------------------------------------------- the connection

  #start() {
    this.#rests = false;
    if (this.#channel) this.#join();
    else this.#open();
  }

  #stop() {
    this.#close();
    this.#leave();
  }

  #close() {
    this.#turn += 1;
    this.#shut?.();
    this.#shut = undefined;
    clearTimeout(this.#again);
    clearTimeout(this.#settling);
  }

  #open() {
    this.#close();
    this.#heard = Date.now();
    this.#pending = [];
    const turn = this.#turn;
    const now = (call) => (...what) => turn === this.#turn && call(...what);
    const url = new URL(this.#url);
    if (this.#id) url.searchParams.set('last_event_id', this.#id);
    const options = { ...this.#options, names: [...this.#names.keys(), this.#options.heartbeat?.event].filter(Boolean) };
    this.#shut = (this.#gaveUp ? byFetch : byEventSource)(url, options, {
      open: now(() => {
        this.#failures = 0;
        this.#heard = Date.now();
        this.#isTold = false;
        this.#settle();
      }),
      heard: now(() => (this.#heard = Date.now())),
      retry: now((retry) => (this.#retry = retry)),
      take: now((name, data, id) => this.#take(this.#names.get(name), data, id)),
      lost: now((isForGood) => {
        this.#isTold = true; // nothing that is settling makes it live now
        this.#become('connecting', { reason: 'lost' });
        this.#gaveUp = isForGood; // EventSource says neither why nor tries again; fetch does both
        if (isForGood) this.#fail('lost');
      }),
      fail: now((reason, after) => this.#fail(reason, after)),
      end: now((reason) => this.#finish(reason)),
    });
  }

  /** Tries again after the time that the server wishes, and the longer the more often it failed. */
  #fail(reason, after = 0) {
    this.#close();
    this.#become('connecting', { reason });
    const spread = Math.random() * Math.min(LONG, 1e3 * 2 ** this.#failures++);
    this.#again = setTimeout(() => this.#open(), Math.min(Math.max(this.#retry, after) + spread, MOST));
  }

  /** It is live unless the stream says otherwise, which it does right after its head. */
  #settle() {
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => {
      if (!this.#isTold && this.document !== undefined) this.#become('live');
    }, 20);
  }

  #take(name, data, id) {
    this.#heard = Date.now();
    if (!name) return; // a heartbeat
    this.#say({ take: [name, data, id] });
    try {
      this.#apply(name, data, id);
    } catch (error) {
      this.#id = '';
      this.#fail(error.message);
    }
  }

  #apply(name, data, id) {
    const value = JSON.parse(data);
    this.#emit('event', { name, data, id });
    if (this.state === 'ended') return; // closed by who heard it
    if (name === 'snapshot') this.#commit(keep(this.document, value), id);
    else if (name === 'patch') this.#commit(patch(this.document, value), id);
    else if (name === 'merge') this.#commit(merge(this.document, value), id);
    else if (name === 'status') {
      this.#isTold = true;
      const { state, since, last_success: last, reason } = value;
      this.#become(state, { since: new Date(since), lastSuccess: last && new Date(last), reason });
    } else if (name === 'reset') this.#emit('reset', value);
    else if (name === 'end') this.#finish(value.reason);
    else {
      this.#pending.push([name, value]);
      if (id) this.#commit(changeItems(this.document, this.#pending, this.#options.items), id);
    }
  }

  #commit(document, id) {
    const before = this.document;
    this.document = document;
    this.#id = id;
    this.#pending = [];
    if (this.state === 'connecting') this.#settle();
    if (document !== before) this.#emit('change', { document, before });
  }

  // ------------------------------------------------------- wake, sleep, network, silence

  #watch() {
    const window = page && globalThis;
    const { signal } = (this.#watching = new AbortController());
    const listen = (target, name, call) => target?.addEventListener(name, call, { signal });
    const rest = () => {
      this.#rests = true;
      this.#stop();
    };
    const rise = () => {
      if (this.#rests) this.#start();
    };
    listen(window, 'pagehide', rest);
    listen(window, 'pageshow', rise);
    listen(page, 'freeze', rest);
    listen(page, 'resume', rise);
    listen(window, 'offline', () => this.#become('connecting', { reason: 'offline' }));
    listen(window, 'online', () => this.#check(-1));
    listen(page, 'visibilitychange', () => page.hidden || this.#tick(LONG));
    let last = Date.now();
    const timer = setInterval(() => {
      const late = Date.now() - last;
      last += late;
      this.#tick(late > NAP && LONG);
    }, TICK);
    signal.onabort = () => clearInterval(timer);
  }

  /** Looks at who is silent. After waking, less silence is borne, and nothing waited for. */
  #tick(woken) {
    const every = this.#options.heartbeat?.every ?? (this.#gaveUp ? PATIENCE : Infinity);
    if (woken) this.#check(woken);
    else if (this.#shut) this.#check(2 * every + TICK);
    if (!this.#radio || this.#resign || Date.now() - this.#alive < PATIENCE) return;
    if (this.#asks) this.#queue(true);
    else this.#ask();
  }

  /** Connects anew, from where it was, if nothing was heard for so long. */
  #check(silence) {
    const connects = !this.#rests && (!this.#radio || this.#resign);
    if (connects && Date.now() - this.#heard > silence) this.#open();
  }

  // ----------------------------------- among tabs: who has the lock connects, and tells the others

  #join() {
    this.#radio = new BroadcastChannel(this.#channel);
    this.#radio.onmessage = ({ data }) => (data.ask ? this.#answer(data) : this.#follow(data));
    this.#queue();
    this.#ask();
  }

  #leave() {
    this.#waiting?.abort();
    this.#resign?.();
    this.#radio?.close();
    this.#resign = this.#radio = undefined;
  }

  /** Waits for the lock, or takes it from a tab that does not answer. */
  #queue(steal = false) {
    this.#waiting?.abort();
    this.#asks = false;
    const { signal } = (this.#waiting = new AbortController());
    const lead = () => {
      if (signal.aborted) return;
      this.#term = Math.max(Date.now(), this.#term + 1); // clocks may be set back
      const held = new Promise((resolve) => (this.#resign = resolve));
      this.#open();
      this.#say();
      return held;
    };
    navigator.locks.request(this.#channel, steal ? { steal } : { signal }, lead).catch(({ name }) => {
      if (signal.aborted) return;
      if (name === 'AbortError') return this.#yield(); // it was taken away
      this.#channel = this.#radio = undefined; // not allowed here
      this.#open();
    });
  }

  #yield() {
    this.#close();
    this.#resign = undefined;
    this.#queue();
  }

  #ask() {
    this.#asks = true;
    this.#radio.postMessage({ ask: this.#tab, id: this.#id });
  }

  #answer({ ask: to, id }) {
    const isBehind = id !== this.#id;
    this.#say({ to, pending: this.#pending, document: isBehind ? this.document : undefined });
  }

  #say(what) {
    const now = { term: this.#term, heard: this.#heard, id: this.#id, state: this.state, told: this.#told };
    if (this.#resign) this.#radio.postMessage({ ...now, ...what });
  }

  /** What the leading tab says. Its events fit only who stands where it stood. */
  #follow({ term, heard, id, state, told, take, to, document, pending }) {
    if (term < this.#term) return; // it woke up and does not know yet that another one leads
    if (term > this.#term) {
      this.#asks = false;
      this.#pending = [];
    }
    [this.#term, this.#heard, this.#alive] = [term, heard, Date.now()];
    if (this.#resign) this.#yield(); // so it is this tab that woke up
    if (to === this.#tab) {
      this.#asks = false;
      if (document !== undefined) this.#commit(keep(this.document, document), id);
      this.#pending = pending;
    }
    if (take && id !== this.#id && !this.#asks) this.#ask();
    if (this.#asks) return; // what is said now is part of the answer
    if (take) this.#apply(...take);
    else if (state === 'ended') this.#finish(told.reason);
    else this.#become(state, told);
  }
}

/** Follows the feed at `url`. */
export const live = (url, options) => new Live(url, options);
