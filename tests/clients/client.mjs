// The client module against the real binary.
//
//   node client.mjs SCENE    POLLCAST names the binary, CHROMIUM the browser
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { live } from '../../src/client/pollcast.js';
import {
  canonical, eventually, pause, play, shows, startBrowser, startNetwork, startPollcast, startUpstream, visit,
} from './client_stage.mjs';

const PAGE = `<!doctype html><title>page</title><script type="module">
  import { live, patch, merge } from '/pollcast.js';
  Object.assign(window, { live, patch, merge });
  window.isReady = true;
</script>`;
const MODES = 'events: { modes: [patch, merge, items, snapshot] }';

const first = () => ({ n: 1, rows: [{ id: 1, status: 'new' }, { id: 2, status: 'new' }], 'a/b~c': { x: [1] }, still: { a: 'b'.repeat(300) } });

async function stage({ feed = '', files = {} } = {}) {
  const upstream = await startUpstream(first(), { '/page': PAGE, ...files });
  const pollcast = await startPollcast(`
upstreams: { legacy: { url: "${upstream.url}" } }
feeds:
  - path: /feed
    upstream: legacy
    request: { path: /data }
    poll: { interval: 50ms, linger: 2s }
    document: { items: /rows, key: id }
    ${feed || MODES}
`);
  const network = await startNetwork(() => pollcast.port);
  return { upstream, pollcast, network };
}

async function page(browser, network) {
  const opened = await visit(browser, `${network.url}/page`);
  await opened.waitForFunction(() => window.isReady);
  return opened;
}

/** Opens a feed in a page, as `window.feed`; `window.seen` is what happens to it. */
function open(page, options = {}, url = '/feed') {
  return page.evaluate(({ url, options }) => {
    const feed = live(url, options);
    window.feed = feed;
    window.seen = [];
    window.states = [];
    feed.addEventListener('event', ({ name }) => window.seen.push(name));
    feed.addEventListener('state', () => window.states.push(feed.state));
  }, { url, options });
}

const scenes = {
  /** One page in each mode, over both transports, through all kinds of changes. */
  async modes() {
    const { upstream, network } = await stage();
    const browser = await startBrowser();
    const at = await page(browser, network);
    const kinds = {
      plain: {}, merge: { mode: 'merge' }, snapshot: { mode: 'snapshot' }, items: { items: { at: '/rows', key: 'id' } },
      fetched: { headers: { 'x-token': 'a' } }, merged: { mode: 'merge', headers: {} },
    };
    await at.evaluate((kinds) => {
      window.wrong = [];
      window.names = {};
      for (const [kind, options] of Object.entries(kinds)) {
        const feed = (window[kind] = live('/feed', { share: false, ...options }));
        window.names[kind] = [];
        feed.addEventListener('event', ({ name }) => window.names[kind].push(name));
        feed.addEventListener('change', ({ document, before }) => {
          if (document !== feed.document) window.wrong.push('the event has another document');
          // What did not change is the same object.
          if (before && before.still !== document.still) window.wrong.push(`${kind} copies what stays`);
        });
      }
    }, kinds);
    const all = async () => {
      for (const kind of Object.keys(kinds)) await shows(at, upstream.document, kind, kind === 'items');
    };
    await all();
    const next = (change) => async () => {
      const document = structuredClone(upstream.document);
      change(document);
      upstream.set(document);
      await all();
    };
    for (const step of [
      (d) => (d.rows[0].status = 'paid'),
      (d) => d.rows.unshift({ id: 3, status: 'new', deep: { a: [1, 2, { b: 'ü☃😀' }] } }),
      (d) => d.rows.splice(1, 1),
      (d) => (d['a/b~c'].x = [{ '~1': 1 }, 2]),
      (d) => Object.defineProperty(d, '__proto__', { value: { polluted: 1 }, enumerable: true, writable: true, configurable: true }),
      (d) => (d.note = null),
      (d) => delete d.note,
      (d) => d.rows.push({ id: 4, status: 'x' }, { id: 5, status: 'y' }),
      (d) => (d.rows[1].status = 'z'),
    ]) await next(step)();
    assert.deepEqual(await at.evaluate(() => [window.wrong, {}.polluted, plain.document.polluted]), [[], undefined, undefined]);
    const names = await at.evaluate(() => window.names);
    for (const [kind, name] of [['plain', 'patch'], ['merge', 'merge'], ['items', 'changed'], ['items', 'removed'], ['fetched', 'patch'], ['merged', 'merge']]) {
      assert(names[kind].includes(name), `${kind} got ${names[kind]}`);
    }
    assert(names.snapshot.every((name) => name === 'snapshot'));
  },

  /** Callbacks: by pointer, of the store, of states. */
  async callbacks() {
    const { upstream, pollcast } = await stage();
    const feed = live(`http://127.0.0.1:${pollcast.port}/feed`);
    const calls = [];
    const off = feed.on('/rows/0/status', (...what) => calls.push(what));
    const escaped = [];
    feed.on('/a~1b~0c/x', (value) => escaped.push(value));
    const stored = [];
    feed.subscribe((document) => stored.push(document));
    await eventually(() => feed.state === 'live');
    assert.deepEqual(calls, [['new', undefined, '/rows/0/status']]);
    const next = async (change) => {
      const document = structuredClone(upstream.document);
      change(document);
      upstream.set(document);
      await eventually(() => canonical(feed.document) === canonical(document));
    };
    await next((d) => (d.n = 2));
    await next((d) => (d.rows[0].status = 'paid'));
    assert.deepEqual(calls.slice(1), [['paid', 'new', '/rows/0/status']]);
    off();
    await next((d) => (d.rows[0].status = 'sent'));
    assert.equal(calls.length, 2);
    assert.deepEqual(escaped, [[1]]);
    assert.equal(stored.length, 4);
    const late = [];
    feed.subscribe((document) => late.push(document));
    assert.deepEqual(late, [feed.document]);

    upstream.fails = 500;
    await eventually(() => feed.state === 'stale');
    const { reason, lastSuccess, lastHeard, since } = feed.freshness;
    assert(reason.includes('500') && lastSuccess instanceof Date && lastHeard instanceof Date && since instanceof Date);
    upstream.fails = undefined;
    await eventually(() => feed.state === 'live');
    feed.close();
    assert.equal(feed.state, 'ended');

    // Kept and continued: the next one gets only what it missed.
    const missed = structuredClone(upstream.document);
    missed.n = 99;
    upstream.set(missed);
    const names = [];
    const again = live(`http://127.0.0.1:${pollcast.port}/feed`, { document: feed.document, lastEventId: feed.lastEventId });
    again.addEventListener('event', ({ name }) => names.push(name));
    await eventually(() => again.document.n === 99);
    assert.deepEqual(names, ['patch']);
    again.close();
  },
};

const scene = scenes[process.argv[2]];
assert(scene, `one of ${Object.keys(scenes)}`);
play(scene);
