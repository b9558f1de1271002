// The client module against the real binary.
//
//   node client.mjs SCENE    POLLCAST names the binary, CHROMIUM the browser
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import jsonpatch from 'fast-json-patch';
import { compile } from 'svelte/compiler';
import { live, merge, patch } from '../../src/client/pollcast.js';
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
  - { path: /orders, upstream: legacy, request: { path: /data }, poll: { interval: 50ms }, document: { select: /rows } }
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
        const feed = (window[kind] = live('/feed', options));
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
    for (const wrong of ['rows', '/a~b', '~1']) assert.throws(() => feed.on(wrong, () => {}), new RegExp(`the pointer ${wrong}`));
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

  /** What a server may answer, and how it may write events, to a client that uses fetch. */
  async rules() {
    const server = await scripted();
    // Every byte a chunk of its own, a byte order mark, all line ends, comments, unknown fields.
    const odd = '\ufeffretry: 10\r\r:comment\nid: e-1\r\nevent: snapshot\rdata: {"a":\ndata:"ü☃😀"}\r\n\r\n'
      + 'id: no\0\nfoo: bar\n\nid: e-2\nevent:patch\ndata:[{"op":"add","path":"/b","value":2}]\n\nevent: unknown\ndata: {}\n\n'
      + 'id: e-3\nevent: patch\ndata: [{"op":"remove","path":"/a"}]\n';
    server.answers.push(async (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
      for (const byte of Buffer.from(odd)) {
        response.write(Buffer.of(byte));
        await pause(0);
      }
      response.end(); // the last event has no empty line behind it, so it does not count
    });
    server.answers.push((response) => response.writeHead(500).end());
    server.answers.push((response) => response.writeHead(429, { 'retry-after': '0' }).end());
    server.answers.push((response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<p>log in'));
    server.answers.push((response) => response.socket.destroy());
    server.answers.push((response) => say(response, 'retry: 10\n\nevent: reset\ndata: {"reason":"expired"}\n\nid: f-1\nevent: snapshot\ndata: [1]\n\n'));
    let token = 0;
    const feed = live(server.url, { method: 'POST', body: '{"q":1}', headers: async () => ({ authorization: `Bearer ${(token += 1)}` }) });
    const seen = [];
    const resets = [];
    feed.addEventListener('change', ({ document }) => seen.push(document));
    feed.addEventListener('reset', ({ reason }) => resets.push(reason));
    await eventually(() => seen.length === 3);
    assert.deepEqual(seen, [{ a: 'ü☃😀' }, { a: 'ü☃😀', b: 2 }, [1]]);
    assert.deepEqual(resets, ['expired']);
    assert.deepEqual(server.requests.map(({ id }) => id), [null, 'e-2', 'e-2', 'e-2', 'e-2', 'e-2']);
    assert.deepEqual(server.requests.map(({ headers }) => headers.authorization), [1, 2, 3, 4, 5, 6].map((n) => `Bearer ${n}`));
    assert(server.requests.every(({ method, body, headers }) => method === 'POST' && body === '{"q":1}' && headers.accept === 'text/event-stream'));

    // A patch that does not fit: the document stays, and a snapshot is asked for.
    server.answers.push((response) => say(response, 'id: f-9\nevent: snapshot\ndata: [9]\n\n'));
    server.open.write('id: f-2\nevent: patch\ndata: [{"op":"add","path":"/0","value":7},{"op":"remove","path":"/5"}]\n\nid: f-3\nevent: patch\ndata: [{"op":"add","path":"/0","value":8}]\n\n');
    await eventually(() => seen.length === 4);
    assert.deepEqual([seen[3], server.requests.at(-1).id, feed.lastEventId], [[9], null, 'f-9']);

    // The end, and nothing after it.
    const ended = new Promise((resolve) => feed.addEventListener('end', resolve));
    server.open.end('event: end\ndata: {"reason":"gone"}\n\nid: f-10\nevent: snapshot\ndata: [10]\n\n');
    assert.equal((await ended).reason, 'gone');
    const { length } = server.requests;
    await pause(300);
    assert.deepEqual([server.requests.length, feed.state, feed.document], [length, 'ended', [9]]);

    for (const status of [204, 400, 401, 403, 404, 410]) {
      server.answers.push((response) => response.writeHead(status).end());
      const refused = live(server.url);
      await new Promise((resolve) => refused.addEventListener('end', resolve));
      assert.deepEqual([refused.state, refused.freshness.reason], ['ended', `HTTP ${status}`]);
    }

    // Items: a change counts when its last event is there, which is the one with an id.
    server.answers.push((response) => say(response, 'id: g-1\nevent: all\ndata: {"rows":[{"k":1},{"k":2}]}\n\nevent: added\ndata: {"key":3,"item":{"k":3}}\n\nevent: status\ndata: {"state":"stale","since":"2020-01-01T00:00:00Z","last_success":null,"reason":"slow"}\n\n'));
    const items = live(server.url, { items: { at: '/rows', key: 'k' }, events: { snapshot: 'all', removed: '' } });
    await eventually(() => items.state === 'stale');
    assert.deepEqual(items.document, { rows: [{ k: 1 }, { k: 2 }] });
    assert.equal(items.freshness.since.getTime(), Date.UTC(2020, 0));
    server.open.write('id: g-2\ndata: {"key":1,"item":{"k":1}}\n\n');
    await eventually(() => items.document.rows[0].k === 2);
    assert.deepEqual([items.document, items.lastEventId], [{ rows: [{ k: 2 }, { k: 3 }] }, 'g-2']);
    assert.equal(new URL(server.requests.at(-1).url, 'http://a').searchParams.get('mode'), 'items');
    items.close();

    // Silence on a stream that should have heartbeats.
    server.answers.push((response) => say(response, 'id: h-1\nevent: snapshot\ndata: 1\n\n'));
    server.answers.push((response) => say(response, 'id: h-2\nevent: snapshot\ndata: 2\n\n'));
    const silent = live(server.url, { heartbeat: { every: 100 } });
    await eventually(() => silent.document === 2);
    assert.equal(server.requests.at(-1).id, 'h-1');
    silent.close();
  },

  /** EventSource gives up for ever on a 500; the module does not, nor on a connection that is cut. */
  async gives_up() {
    const { upstream, network, pollcast } = await stage();
    const browser = await startBrowser();
    const at = await page(browser, network);
    await open(at);
    await shows(at, upstream.document);
    const server = await scripted();
    for (let times = 0; times < 3; times += 1) server.answers.push((response) => response.writeHead(503).end());
    const real = pollcast.port;
    pollcast.port = server.port;
    network.cut();
    await eventually(() => server.requests.length >= 2);
    assert(server.requests.every(({ id }) => id), 'it says where it was');
    pollcast.port = real;
    network.cut();
    upstream.set({ ...upstream.document, n: 2 });
    await shows(at, upstream.document);
    assert(!(await at.evaluate(() => window.seen)).includes('reset'));

    // 204 is the end.
    pollcast.port = server.port;
    server.answers.length = 0;
    for (let times = 0; times < 3; times += 1) server.answers.push((response) => response.writeHead(204).end());
    network.cut();
    await eventually(() => at.evaluate(() => feed.state === 'ended'));
  },

  /** A connection that says nothing any more, and a computer that was offline. */
  async silence() {
    const { upstream, network } = await stage({
      feed: `${MODES}\n    deliver: { heartbeat: { every: 1s, event: beat } }`,
    });
    const browser = await startBrowser();
    const context = await browser.newContext();
    const at = await page(context, network);
    await open(at, { heartbeat: { every: 1000, event: 'beat' } });
    await shows(at, upstream.document);
    network.swallows = true;
    upstream.set({ ...upstream.document, n: 2 });
    await pause(1500);
    network.swallows = false;
    await shows(at, upstream.document);

    await context.setOffline(true);
    await eventually(() => at.evaluate(() => feed.state === 'offline'));
    upstream.set({ ...upstream.document, n: 3 });
    network.cut();
    await context.setOffline(false);
    await shows(at, upstream.document);
    await eventually(() => at.evaluate(() => feed.state === 'live'));
    assert(!(await at.evaluate(() => window.seen)).includes('reset'));
  },

  /** Several tabs and one connection, whoever leaves, sleeps or crashes. */
  async tabs() {
    const { upstream, network, pollcast } = await stage();
    const browser = await startBrowser();
    const context = await browser.newContext();
    const tabs = [];
    const join = async () => {
      const tab = await page(context, network);
      await open(tab, { share: true });
      tabs.push(tab);
      return tab;
    };
    const change = async () => {
      upstream.set({ ...upstream.document, n: upstream.document.n + 1 });
      for (const tab of tabs) await shows(tab, upstream.document);
    };
    const leave = async (by) => {
      const leader = await leading(tabs);
      tabs.splice(tabs.indexOf(leader), 1);
      await by(leader);
      await change();
      await eventually(async () => (await pollcast.subscribers()) === 1);
    };
    for (let count = 0; count < 5; count += 1) await join();
    await change();
    assert.equal(await pollcast.subscribers(), 1);
    // Who comes late has the document although nothing changes.
    await shows(await join(), upstream.document);
    await eventually(() => tabs.at(-1).evaluate(() => feed.state === 'live'));
    assert.equal(await pollcast.subscribers(), 1);

    await leave((leader) => leader.close());
    await leave((leader) => leader.goto('about:blank'));
    await leave(async (leader) => {
      const session = await context.newCDPSession(leader);
      session.send('Page.crash').catch(() => {});
      await once(leader, 'crash');
    });
    // A frozen one gives way; when it wakes, it has what it missed and does not lead.
    const leader = await leading(tabs);
    const session = await context.newCDPSession(leader);
    await leave((leader) => session.send('Page.setWebLifecycleState', { state: 'frozen' }));
    await session.send('Page.setWebLifecycleState', { state: 'active' });
    tabs.push(leader);
    await change();
    assert.equal(await pollcast.subscribers(), 1);

    // What is asked with headers is nobody else's.
    const apart = await page(context, network);
    await open(apart, { share: true, headers: { authorization: 'Bearer a' } });
    await shows(apart, upstream.document);
    await eventually(async () => (await pollcast.subscribers()) === 2);
    // Nor is what is shared with somebody else.
    const [mine, yours] = [await page(context, network), await page(context, network)];
    await open(mine, { share: 'me' });
    await open(yours, { share: 'you' });
    for (const each of [mine, yours]) await shows(each, upstream.document);
    await eventually(async () => (await pollcast.subscribers()) === 4);
    // An outage is everybody's news.
    for (const tab of tabs) await tab.evaluate(() => window.states.splice(0));
    upstream.fails = 500;
    for (const tab of tabs) await eventually(() => tab.evaluate(() => feed.state === 'stale'));
    upstream.fails = undefined;
    for (const tab of tabs) await eventually(() => tab.evaluate(() => feed.state === 'live'));
    for (const tab of tabs) assert.deepEqual(await tab.evaluate(() => window.states), ['stale', 'live']);
    for (const tab of tabs) assert(!(await tab.evaluate(() => window.seen)).includes('reset'));
  },

  /** A tab that hangs loses the connection to another; when it wakes, it follows like others. */
  async hangs() {
    const { upstream, network, pollcast } = await stage();
    const browser = await startBrowser();
    const context = await browser.newContext();
    const tabs = [await page(context, network), await page(context, network), await page(context, network)];
    for (const tab of tabs) {
      await open(tab, { share: true });
      await shows(tab, upstream.document);
    }
    const leader = await leading(tabs);
    const others = tabs.filter((tab) => tab !== leader);
    const woken = leader.evaluate(() => {
      for (const until = Date.now() + 30000; Date.now() < until;);
    });
    upstream.set({ ...upstream.document, n: 2 });
    for (const tab of others) await shows(tab, upstream.document);
    assert.notEqual(await leading(others), leader);
    upstream.set({ ...upstream.document, n: 3 });
    for (const tab of others) await shows(tab, upstream.document);
    await woken;
    for (const tab of tabs) await shows(tab, upstream.document);
    await eventually(async () => (await pollcast.subscribers()) === 1);
    upstream.set({ ...upstream.document, n: 4 });
    for (const tab of tabs) await shows(tab, upstream.document);
    for (const tab of tabs) assert(!(await tab.evaluate(() => window.seen)).includes('reset'));
  },

  /** RFC 6902 and RFC 7396, by cases and beside fast-json-patch. */
  async applied() {
    const folder = new URL('../fixtures/json_patch/', import.meta.url);
    let cases = 0;
    for (const file of readdirSync(folder)) {
      for (const { about, document, patch: operations, expected, error } of JSON.parse(readFileSync(new URL(file, folder), 'utf8'))) {
        const before = JSON.stringify(document);
        if (/one double|too large for a double/.test(about)) continue; // numbers are JavaScript's
        cases += 1;
        if (error !== undefined) assert.throws(() => patch(document, operations), `${file}: ${about}`);
        else assert.equal(canonical(patch(document, operations)), canonical(expected), `${file}: ${about}`);
        assert.equal(JSON.stringify(document), before, `${file}: ${about}: the document stays`);
      }
    }
    assert(cases > 50);
    for (const [held, change, expected] of MERGES) {
      const before = JSON.stringify(held);
      assert.deepEqual(merge(held, change), expected);
      assert.equal(JSON.stringify(held), before);
    }

    const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));
    console.log(`seed ${seed}`);
    const random = numbers(seed);
    let fitting = 0;
    for (let round = 0; round < 5000; round += 1) {
      const held = { a: value(random, 4) };
      const text = JSON.stringify(held);
      const isDiff = random(2) === 0;
      const operations = isDiff ? jsonpatch.compare(held, { a: value(random, 4) }) : scrambled(random, held);
      const about = JSON.stringify([held, operations]);
      let made;
      try {
        made = patch(held, operations);
      } catch {
        // It takes what RFC 6902 refuses, such as a member of a text, but a diff always fits.
        assert(!isDiff, about);
        continue;
      }
      fitting += 1;
      const { newDocument } = jsonpatch.applyPatch(structuredClone(held), structuredClone(operations));
      assert.equal(canonical(made), canonical(newDocument), about);
      assert.equal(JSON.stringify(held), text, 'the document stays');
    }
    assert(fitting > 3000, `${fitting} patches fit`);
  },

  /** Recorded polls of a real endpoint, in every mode: only what was served, and the last one last. */
  async recorded() {
    const bodies = JSON.parse(readFileSync(process.argv[3], 'utf8')).map((body) => JSON.parse(body));
    const [where, key] = process.argv.slice(4);
    const rowsOf = (document) => (where ? document[where.slice(1)] : document);
    const upstream = await startUpstream(bodies[0]);
    const pollcast = await startPollcast(`
upstreams: { legacy: { url: "${upstream.url}" } }
feeds:
  - path: /feed
    upstream: legacy
    request: { path: /data }
    poll: { interval: 20ms }
    document: { items: "${where}", key: "${key}" }
    ${MODES}
`);
    const url = `http://127.0.0.1:${pollcast.port}/feed`;
    const plain = (document) => canonical(document);
    const asSet = (document) => {
      const rows = [...rowsOf(document)].sort((a, b) => (a[key] < b[key] ? -1 : 1));
      return canonical(where ? { ...document, [where.slice(1)]: rows } : rows);
    };
    const followers = [
      [live(url), plain], [live(url, { mode: 'merge' }), plain], [live(url, { mode: 'snapshot' }), plain],
      [live(url, { items: { at: where, key } }), asSet],
    ];
    const served = [new Set(), new Set()];
    for (const [feed, form] of followers) {
      feed.addEventListener('change', ({ document }) => {
        assert(served[+(form === asSet)].has(form(document)), 'a document that was never served');
      });
    }
    for (const body of bodies) {
      served[0].add(plain(body));
      served[1].add(asSet(body));
      upstream.set(body);
      for (const [feed, form] of followers) await eventually(() => feed.document && form(feed.document) === form(body));
    }
    console.log(`${bodies.length} polls`);
    for (const [feed] of followers) feed.close();
  },

  /** What is committed beside the source: types that are true, and the small one that is the same. */
  async files() {
    const client = new URL('../../src/client/', import.meta.url).pathname;
    const { outputFiles: [{ text }] } = await build({
      entryPoints: [join(client, 'pollcast.js')], minify: true, format: 'esm', target: 'es2022', write: false,
    });
    assert.equal(readFileSync(join(client, 'pollcast.min.js'), 'utf8'), text, 'see Building in src/client/README.md');
    const size = gzipSync(text, { level: 9 }).length;
    assert(size < 4096, `${size} bytes`);
    console.log(`${size} bytes gzipped`);
    const types = readFileSync(join(client, 'pollcast.d.ts'), 'utf8');
    const declared = [...types.matchAll(/^export (?:declare )?(?:function|const|class) (\w+)/gm)].map(([, name]) => name);
    for (const file of ['pollcast.js', 'pollcast.min.js']) {
      assert.deepEqual(Object.keys(await import(join(client, file))).sort(), declared.sort());
    }
    const feed = live('http://127.0.0.1:9/');
    for (const name of ['document', 'state', 'freshness', 'lastEventId', 'on', 'subscribe', 'close', 'addEventListener']) {
      assert(name in feed, name);
    }
    feed.close();
    const here = new URL('.', import.meta.url).pathname;
    const tsc = join(here, 'node_modules/.bin/tsc');
    execFileSync(tsc, ['--noEmit', '--strict', '--target', 'es2022', '--module', 'nodenext', '--lib', 'es2022,dom', '--types', '', join(here, 'client_usage.ts')], { stdio: 'inherit' });
  },

  /** The package as npm packs it: in Node, in a bundle, and in the examples. */
  async package() {
    const folder = mkdtempSync(join(tmpdir(), 'pollcast-package-'));
    const here = new URL('.', import.meta.url).pathname;
    const run = (command, ...rest) => execFileSync(command, rest, { cwd: folder, encoding: 'utf8' });
    try {
      const [{ filename, files }] = JSON.parse(run('npm', 'pack', '--json', '--offline', join(here, '../../src/client')));
      assert.deepEqual(files.map(({ path }) => path).sort(), [
        'LICENSE', 'README.md', 'examples/Orders.svelte', 'examples/react.js', 'examples/vue.js', 'package.json',
        'pollcast.d.ts', 'pollcast.js', 'pollcast.min.js',
      ]);
      run('tar', 'xf', filename);
      mkdirSync(join(folder, 'node_modules'));
      renameSync(join(folder, 'package'), join(folder, 'node_modules/pollcast'));
      for (const name of readdirSync(join(here, 'node_modules'))) {
        if (!name.startsWith('.')) symlinkSync(join(here, 'node_modules', name), join(folder, 'node_modules', name));
      }
      const bundle = (name, text, plugins = []) => build({
        stdin: { contents: text, resolveDir: folder, loader: 'js' },
        bundle: true, format: 'esm', write: false, minify: true, logLevel: 'error', plugins,
        define: { 'process.env.NODE_ENV': '"production"', __VUE_OPTIONS_API__: 'true', __VUE_PROD_DEVTOOLS__: 'false', __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false' },
      }).then(({ outputFiles: [{ text }] }) => ({ [`/${name}.js`]: text, [`/${name}`]: `<!doctype html><title>${name}</title><main id="at"></main><script type="module" src="/${name}.js"></script>` }));
      const compiled = {
        name: 'svelte',
        setup: ({ onLoad }) => onLoad({ filter: /\.svelte$/ }, ({ path }) => ({
          contents: compile(readFileSync(path, 'utf8'), { filename: path, generate: 'client' }).js.code,
        })),
      };
      const kinds = {
        plain: "import { live } from 'pollcast'; live('/feed').subscribe(({ rows }) => { at.innerHTML = rows.map(({ status }) => `<li>${status}</li>`).join(''); });",
        react: `import { createElement as h, StrictMode, useState } from 'react'; import { createRoot } from 'react-dom/client';
          import { useLive } from 'pollcast/examples/react.js';
          function Orders() { const { document, state } = useLive('/feed'); return h('ul', { title: state }, (document?.rows ?? []).map((row) => h('li', { key: row.id }, row.status))); }
          function Page() { const [shown, show] = useState(true); window.toggle = () => show(!shown); return shown ? h(Orders) : null; }
          createRoot(at).render(h(StrictMode, null, h(Page)));`,
        vue: `import { createApp, h, ref } from 'vue'; import { useLive } from 'pollcast/examples/vue.js';
          const Orders = { setup() { const { document, state } = useLive('/feed'); return () => h('ul', { title: state.value }, (document.value?.rows ?? []).map((row) => h('li', row.status))); } };
          const shown = ref(true); window.toggle = () => (shown.value = !shown.value);
          createApp({ setup: () => () => (shown.value ? h(Orders) : null) }).mount(at);`,
        svelte: `import { mount, unmount } from 'svelte'; import Orders from 'pollcast/examples/Orders.svelte';
          let shown = mount(Orders, { target: at, props: { url: '/orders' } });
          window.toggle = () => { if (shown) unmount(shown); shown = shown ? undefined : mount(Orders, { target: at, props: { url: '/orders' } }); };`,
      };
      const pages = {};
      for (const [name, text] of Object.entries(kinds)) Object.assign(pages, await bundle(name, text, [compiled]));
      const { upstream, network, pollcast } = await stage({ files: pages });

      const node = `import { live } from 'pollcast'; const feed = live('http://127.0.0.1:${pollcast.port}/feed');
        const off = feed.subscribe(({ n }) => { console.log(n); feed.close(); });`;
      writeFileSync(join(folder, 'once.mjs'), node);
      // Not synchronously: the upstream lives in this process.
      const { stdout } = await promisify(execFile)('node', [join(folder, 'once.mjs')]);
      assert.equal(stdout, '1\n');

      const browser = await startBrowser();
      for (const name of Object.keys(kinds)) {
        const context = await browser.newContext();
        const at = await visit(context, `${network.url}/${name}`);
        const says = () => at.$$eval('li', (items) => items.map((item) => item.textContent).join());
        const statuses = () => upstream.document.rows.map(({ status }) => status).join();
        await eventually(async () => (await says()) === statuses(), `${name} shows it`);
        const change = async () => {
          const document = structuredClone(upstream.document);
          document.rows[1].status = `s${(document.n += 1)}`;
          document.rows.push({ id: document.n + 10, status: 'more' });
          upstream.set(document);
          await eventually(async () => (await says()) === statuses(), `${name} follows`);
        };
        await change();
        if (name !== 'plain') {
          if (name !== 'svelte') await eventually(() => at.$eval('ul', ({ title }) => title === 'live'));
          await at.evaluate(() => window.toggle());
          await eventually(async () => (await pollcast.subscribers()) === 0, `${name} closes what it opened`);
          await at.evaluate(() => window.toggle());
          await change();
        }
        await context.close();
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
};

/** RFC 7396, appendix A, and names that mean something to JavaScript. */
const MERGES = [
  [{ a: 'b' }, { a: 'c' }, { a: 'c' }], [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }], [{ a: 'b' }, { a: null }, {}],
  [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }], [{ a: ['b'] }, { a: 'c' }, { a: 'c' }], [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
  [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }], [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
  [['a', 'b'], ['c', 'd'], ['c', 'd']], [{ a: 'b' }, ['c'], ['c']], [{ a: 'foo' }, null, null], [{ a: 'foo' }, 'bar', 'bar'],
  [{ e: null }, { a: 1 }, { e: null, a: 1 }], [[1, 2], { a: 'b', c: null }, { a: 'b' }], [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  [{}, JSON.parse('{"__proto__":{"a":1}}'), JSON.parse('{"__proto__":{"a":1}}')],
];

/** Whole numbers below what is asked for, the same for the same seed. */
function numbers(seed) {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const MEMBERS = ['a', 'b', 'c/d', '~', '~1', '', '0', 'ü'];

function value(random, depth) {
  const kind = random(depth > 0 ? 6 : 4);
  if (kind === 4) return Array.from({ length: random(5) }, () => value(random, depth - 1));
  if (kind === 5) return Object.fromEntries(Array.from({ length: random(5) }, () => [MEMBERS[random(MEMBERS.length)], value(random, depth - 1)]));
  return [null, random(3), 'text', random(2) === 1][kind];
}

/** Operations at places that mostly exist. */
function scrambled(random, document) {
  const places = [];
  const walk = (value, pointer) => {
    places.push(pointer);
    if (value === null || typeof value !== 'object') return;
    for (const name of Object.keys(value)) walk(value[name], `${pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`);
  };
  walk(document, '');
  const place = () => places[1 + random(places.length - 1)];
  const ops = ['add', 'remove', 'replace', 'move', 'copy', 'test'];
  return Array.from({ length: 1 + random(4) }, () => {
    const op = ops[random(ops.length)];
    return { op, path: random(4) ? place() : `${place()}/${random(2) ? 'new' : random(3)}`, from: place(), value: value(random, 2) };
  });
}

/** The tab that has the connection. */
async function leading(tabs) {
  return eventually(async () => {
    for (const tab of tabs) {
      const leads = await tab.evaluate(async () => {
        const { held } = await navigator.locks.query();
        const mine = await new Promise((resolve) => {
          navigator.locks.request(`probe ${Math.random()}`, async ({ name }) => {
            const { held } = await navigator.locks.query();
            resolve(held.find((lock) => lock.name === name).clientId);
          });
        });
        return held.some(({ name, clientId }) => name.startsWith('pollcast ') && clientId === mine);
      });
      if (leads) return tab;
    }
    return undefined;
  });
}

/** A server that answers each request with the next of `answers`; the last stream stays open. */
async function scripted() {
  const script = { answers: [], requests: [], open: undefined };
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const piece of request) body += piece;
    const id = new URL(request.url, 'http://a').searchParams.get('last_event_id') ?? request.headers['last-event-id'] ?? null;
    script.requests.push({ method: request.method, url: request.url, headers: request.headers, body, id });
    script.open = response;
    const answer = script.answers.shift() ?? ((response) => response.writeHead(503).end());
    answer(response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  script.port = server.address().port;
  script.url = `http://127.0.0.1:${script.port}/`;
  return script;
}

function say(response, text) {
  response.writeHead(200, { 'content-type': 'text/event-stream' }).write(text);
}

const scene = scenes[process.argv[2]];
assert(scene, `one of ${Object.keys(scenes)}`);
play(scene);
