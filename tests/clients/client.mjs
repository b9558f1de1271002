// The client module against the real binary: what it makes of streams, and of their absence.
//
//   node client.mjs SCENE    POLLCAST names the binary, CHROMIUM the browser
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { live } from '../../src/client/pollcast.js';
import {
  MODES, canonical, eventually, open, page, pause, play, shows, stage, startBrowser, startPollcast, startUpstream,
} from './client_stage.mjs';

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
    for (const wrong of ['rows', '/a~b', '~1']) assert.throws(() => feed.on(wrong, () => {}), new RegExp(`${wrong} does not fit`));
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

  /** Waits that no timer can hold, headers that cannot be had, and an end in the middle of an event. */
  async limits() {
    const server = await scripted();
    const first = 'id: a-1\nevent: snapshot\ndata: [1]\n\n';
    const patient = (answer) => {
      server.answers.push(answer);
      return live(server.url);
    };
    const feeds = [
      patient((response) => response.writeHead(503, { 'retry-after': '9999999' }).end()),
      patient((response) => say(response, `retry: 99999999999\n\n${first}`) ?? response.end()),
    ];
    await eventually(() => feeds.every(({ freshness }) => freshness.reason));
    await pause(500);
    assert.equal(server.requests.length, 2);
    for (const feed of feeds) feed.close();

    const unlucky = [Promise.reject.bind(Promise), async () => { throw 'no token'; }].map((headers) => live(server.url, { headers }));
    await eventually(() => unlucky[1].freshness.reason === 'no token');
    for (const feed of unlucky) feed.close();
    assert.equal(server.requests.length, 2);

    server.answers.push((response) => say(response, first));
    const feed = live(server.url);
    const heard = [];
    for (const name of ['event', 'change', 'end']) feed.addEventListener(name, () => heard.push(name));
    feed.addEventListener('event', () => feed.close());
    await eventually(() => feed.state === 'ended');
    await pause(50);
    assert.deepEqual([heard, feed.document], [['event', 'end'], undefined]);

    // A worker has no page, and addresses in it are relative to its script.
    const worker = "import { live } from '/pollcast.js'; live('/feed').subscribe((document) => postMessage(document));";
    const { upstream, network } = await stage({ files: { '/worker.js': worker } });
    const at = await page(await startBrowser(), network);
    const told = await at.evaluate(() => new Promise((resolve, reject) => {
      const worker = new Worker('/worker.js', { type: 'module' });
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = () => reject(new Error('the worker fails'));
    }));
    assert.deepEqual(told, upstream.document);

    // A stream that ends right after its document is not live.
    const type = { 'content-type': 'text/event-stream', 'access-control-allow-origin': '*' };
    server.answers.push((response) => response.writeHead(200, type).end(`retry: 9999999\n\n${first}`));
    await open(at, {}, server.url);
    await eventually(() => at.evaluate(() => window.states.length > 0));
    await pause(200);
    assert.deepEqual(await at.evaluate(() => [feed.state, feed.document]), ['connecting', [1]]);
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
};

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
