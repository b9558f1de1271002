// What the tests of the client module stand on: a scripted upstream, the real binary, a network that
// can fail, a real Chromium. All of it ends with the script.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const PATIENCE = 60000;
const LIMIT = 600000;
const ends = [];

/** Runs a script, ends what it started, and says that all was seen. */
export async function play(script) {
  const begin = Date.now();
  const beat = setInterval(() => console.log(`at it for ${Math.round((Date.now() - begin) / 1000)} s`), 10000);
  const limit = setTimeout(() => process.exit(1), LIMIT);
  try {
    await script();
    console.log('all seen');
  } finally {
    clearInterval(beat);
    clearTimeout(limit);
    for (const end of ends.reverse()) await end();
  }
  process.exit(0);
}

/** Waits until `ready` returns something true, which it returns. */
export async function eventually(ready, what = String(ready)) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const found = await ready();
    if (found) return found;
    assert(Date.now() < deadline, `never happened: ${what}`);
    await pause(25);
  }
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** JSON text that does not depend on the order of members, nor on that of rows if `unordered`. */
export function canonical(value, unordered = false) {
  const sorted = (value) => {
    if (Array.isArray(value)) return value.map(sorted);
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(Object.keys(value).sort().map((name) => [name, sorted(value[name])]));
  };
  const rows = unordered && [...value.rows].sort((a, b) => a.id - b.id);
  return JSON.stringify(sorted(unordered ? { ...value, rows } : value));
}

/** A legacy API: `document` at /data, `files` at their paths, and `fails` as it may. */
export async function startUpstream(document, files = {}) {
  const upstream = { document, files, fails: undefined, polls: 0, served: new Set(), rows: new Set(), asked: [] };
  upstream.set = (document) => {
    upstream.document = document;
    return document;
  };
  const answer = (request, response) => {
    const { pathname } = new URL(request.url, 'http://a');
    const file = upstream.files[pathname];
    if (file !== undefined) {
      const type = pathname.endsWith('.js') ? 'text/javascript' : 'text/html; charset=utf-8';
      return response.setHeader('content-type', type).end(file);
    }
    if (pathname !== '/data') return response.writeHead(404).end('{}');
    upstream.polls += 1;
    upstream.asked.push(request.headers);
    if (upstream.fails === 'refuse') return request.socket.destroy();
    if (upstream.fails === 'garbage') return response.end('{"n": 1, "rows": [');
    if (upstream.fails) return response.writeHead(upstream.fails).end('{"error": true}');
    upstream.served.add(canonical(upstream.document));
    if (upstream.document.rows) upstream.rows.add(canonical(upstream.document, true));
    response.setHeader('content-type', 'application/json').end(JSON.stringify(upstream.document));
  };
  const server = createHttpServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  upstream.url = `http://127.0.0.1:${server.address().port}`;
  ends.push(() => server.closeAllConnections() ?? server.close());
  return upstream;
}

/** The binary that POLLCAST names, with this configuration on a port of its own. */
export async function startPollcast(config) {
  const folder = mkdtempSync(join(tmpdir(), 'pollcast-client-'));
  const file = join(folder, 'pollcast.yaml');
  const pollcast = { port: 0 };
  pollcast.start = async () => {
    writeFileSync(file, `server: { listen: "127.0.0.1:${pollcast.port}", drain: 1s }\nadmin: { listen: "127.0.0.1:0" }\n${config}`);
    const child = spawn(process.env.POLLCAST, ['run', '-c', file], { stdio: ['ignore', 'pipe', 'pipe'] });
    pollcast.child = child;
    // Should this script be killed, its end of the pipe closes, and pollcast ends, too.
    const guard = spawn('sh', ['-c', 'read _; kill "$0"', String(child.pid)], { stdio: ['pipe', 'ignore', 'ignore'] });
    child.on('exit', () => guard.kill());
    pollcast.log = '';
    child.stderr.on('data', (text) => (pollcast.log += text));
    for await (const line of createInterface({ input: child.stdout })) {
      const port = /^listening on http:\/\/127\.0\.0\.1:(\d+)/.exec(line)?.[1];
      if (port) pollcast.port = Number(port);
      pollcast.admin = /^admin on (http:\/\/[^/]+)/.exec(line)?.[1];
      if (pollcast.admin) break;
    }
    assert(pollcast.port, `it never started: ${pollcast.log}`);
    child.stdout.resume();
  };
  pollcast.subscribers = async () => {
    const feeds = await (await fetch(`${pollcast.admin}/api/feeds`)).json();
    return feeds.reduce((sum, { subscribers }) => sum + subscribers.total, 0);
  };
  /** Has a feed polled now rather than when its backoff is over, which can be a minute. */
  pollcast.poke = (path) => fetch(`${pollcast.admin}/api/poll?path=${path}`, { method: 'POST' });
  pollcast.stop = async (signal = 'SIGTERM') => {
    if (pollcast.child.exitCode !== null || pollcast.child.signalCode) return;
    pollcast.child.kill(signal);
    await once(pollcast.child, 'exit');
  };
  await pollcast.start();
  ends.push(async () => {
    await pollcast.stop();
    rmSync(folder, { recursive: true });
  });
  return pollcast;
}

/** A network to `port`() that can be cut, refuse, and swallow everything without a word. */
export async function startNetwork(port) {
  const network = { swallows: false, refuses: false, pairs: new Set(), opened: 0 };
  const server = createServer((near) => {
    if (network.refuses) return near.destroy();
    network.opened += 1;
    const far = connect(port(), '127.0.0.1');
    const pair = [near, far];
    network.pairs.add(pair);
    for (const [from, to] of [[near, far], [far, near]]) {
      // What is swallowed is gone for good: a connection that lost bytes must never speak again.
      from.on('data', (bytes) => {
        if (network.swallows) pair.isDead = true;
        if (!pair.isDead) to.write(bytes);
      });
      from.on('end', () => pair.isDead || to.end());
      from.on('error', () => {});
      from.on('close', () => {
        network.pairs.delete(pair);
        if (!pair.isDead) to.destroy();
      });
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  network.port = server.address().port;
  network.url = `http://127.0.0.1:${network.port}`;
  network.cut = (chosen = () => true) => {
    for (const pair of [...network.pairs].filter(chosen)) pair.forEach((socket) => socket.destroy());
  };
  ends.push(() => {
    network.cut();
    server.close();
  });
  return network;
}

/** A Chromium, and what its pages complain about. */
export async function startBrowser() {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? 'chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  ends.push(() => browser.close());
  return browser;
}

/** A page at `url` whose errors fail the script. */
export async function visit(context, url) {
  const page = await context.newPage();
  page.on('pageerror', (error) => {
    console.log(`page error: ${error.stack}`);
    process.exitCode = 1;
    throw error;
  });
  await page.goto(url);
  return page;
}

/** Waits until the document of `window[name]` in the page is this one. */
export async function shows(page, document, name = 'feed', unordered = false) {
  let held;
  await eventually(async () => {
    // As text: the browser's driver loses a member called `__proto__`.
    const text = await page.evaluate((name) => JSON.stringify(window[name].document) ?? null, name);
    if (text === null) return false;
    held = JSON.parse(text);
    return canonical(held, unordered) === canonical(document, unordered);
  }, `the page shows ${JSON.stringify(document).slice(0, 200)}`).catch((error) => {
    throw new Error(`${error.message}; it shows ${JSON.stringify(held)?.slice(0, 200)}`);
  });
}

const PAGE = `<!doctype html><title>page</title><script type="module">
  import { live, patch, merge } from '/pollcast.js';
  Object.assign(window, { live, patch, merge });
  window.isReady = true;
</script>`;
export const MODES = 'events: { modes: [patch, merge, items, snapshot] }';

const first = () => ({ n: 1, rows: [{ id: 1, status: 'new' }, { id: 2, status: 'new' }], 'a/b~c': { x: [1] }, still: { a: 'b'.repeat(300) } });

/** All of it but the browser: feeds at /feed and /orders, a page at /page that has the module. */
export async function stage({ feed = '', files = {} } = {}) {
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

/** A tab at /page. */
export async function page(browser, network) {
  const opened = await visit(browser, `${network.url}/page`);
  await opened.waitForFunction(() => window.isReady);
  return opened;
}

/** Opens a feed in a page, as `window.feed`; `window.seen` is what happens to it. */
export function open(page, options = {}, url = '/feed') {
  return page.evaluate(({ url, options }) => {
    const feed = live(url, options);
    window.feed = feed;
    window.seen = [];
    window.states = [];
    feed.addEventListener('event', ({ name }) => window.seen.push(name));
    feed.addEventListener('state', () => window.states.push(feed.state));
  }, { url, options });
}
