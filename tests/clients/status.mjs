// Visits the status page with a real Chromium.
//
//   node status.mjs ADMIN PUBLIC UPSTREAM [FOLDER]    CHROMIUM names the browser
//
// ADMIN and PUBLIC are pollcast's two listeners, UPSTREAM is told what to answer by POST
// /become/PATH. Says what it has seen, a line each, and reads a line after each; "stop" and "start"
// ask for pollcast to end and to begin again. Ends after "all seen", or fails with the reason.
// Pictures go to FOLDER.
import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';
import { fitsNarrowScreens, isAccessible, isWorkedByKeyboard, marksAreRight, pictures } from './status_look.mjs';

const [admin, feeds, upstream, folder] = process.argv.slice(2);
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = async (line) => {
  console.log(line);
  await answers.next();
};
const become = (path, document) =>
  fetch(`${upstream}/become${path}`, { method: 'POST', body: typeof document === 'string' ? document : JSON.stringify(document) });

const HOSTILE = {
  '<img src=x onerror="hacked()">': '<script>hacked()</script>',
  'javascript:hacked()': ['</li></ul>', '"; hacked(); "', '${hacked()}'],
  'עברית': 'مرحبا \u202e evil', // RTL, and an override that must not leave its place
  ...JSON.parse('{"__proto__": {"polluted": true}, "constructor": {"prototype": 1}}'),
};
const LARGE = Array.from({ length: 10000 }, (_, id) => ({ id, name: `row ${id}` }));

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? 'chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const complaints = [];
const requests = [];
const listening = new AbortController();
try {
  await become('/orders', [order(1), order(2), order(3)]);
  await become('/prices', { EUR: 1 });
  await become('/hostile', HOSTILE);
  await become('/large', LARGE);
  await become('/noisy', { generated_at: 'poll #poll#', rows: [{ id: 1, v: 'new' }, { id: 2, v: 'old' }] });
  const page = await visit('/');
  await showsEveryState(page);
  await followsStates(page);
  await followsADocument(page);
  await becomesWhole(page);
  await pollsNow(page);
  await showsHostileThingsAsText(page);
  await staysQuickWithLargeDocuments(page);
  await showsNoise(page);
  await pagesThroughTopics(page);
  await hidesSecrets(page);
  await marksAreRight(page);
  await say('marks are where patches were');
  await isWorkedByKeyboard(page, admin);
  await say('it is worked by keyboard');
  await fitsNarrowScreens(page, admin);
  await say('no sideways scrolling at 360 px');
  await isAccessible(browser, admin, (view) => say(`axe finds nothing serious: ${view}`));
  if (folder) await pictures(browser, admin, folder, (view) => say(`taken: ${view}`));
  assert.deepEqual(complaints, [], 'console');
  await survivesRestart(page);
  const elsewhere = requests.filter((url) => new URL(url).origin !== admin);
  assert.deepEqual(elsewhere, [], 'requests to other origins');
  await say('all seen');
} finally {
  listening.abort();
  await browser.close();
}
process.exit(0);

async function visit(path, options = { viewport: { width: 1280, height: 900 } }) {
  const page = await browser.newPage(options);
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => requests.push(request.url()));
  await page.addInitScript(() => { window.hacked = () => { window.wasHacked = true; }; });
  await page.goto(admin + path);
  await page.waitForSelector('#link[data-state=live]');
  return page;
}

function order(id, status = 'new') {
  return { id, status, customer: `customer ${id}`, lines: [{ name: 'rye bread', quantity: id }] };
}

/** Goes to another view without loading the page again. */
async function go(page, path) {
  await page.evaluate((path) => {
    const link = document.body.appendChild(document.createElement('a'));
    link.href = path;
    link.click();
    link.remove();
  }, path);
}

/** The state of each feed that the page shows, by path. */
function states(page) {
  return page.$$eval('.feeds tbody tr', (rows) => Object.fromEntries(rows.map((row) =>
    [row.querySelector('th a').textContent, row.querySelector('.state').textContent])));
}

async function showsEveryState(page) {
  // Two failures in a row make a feed stale that has a document, and it must have had one.
  await eventually(async () => (await states(page))['/prices'] === 'live');
  await become('/prices', '');
  await eventually(async () => {
    const { feeds } = await (await fetch(`${admin}/api/status`)).json();
    const told = Object.fromEntries(feeds.map(({ path, state }) => [path, state]));
    const shown = await states(page);
    return told['/prices'] === 'stale' && told['/rates'] === 'paused' && told['/stock'] === 'down'
      && told['/orders'] === 'live' && same(shown, told);
  });
  const worst = await page.$eval('.feeds tbody tr th a', (first) => first.textContent);
  assert.equal(worst, '/stock', 'the worst is first');
  assert.match(await page.textContent('h1'), /1 down, 1 stale of 8 feeds/);
  await go(page, '/?view=upstreams');
  await page.waitForSelector('#upstream-shop');
  assert.match(await page.textContent('main'), /warehouse/);
  await go(page, '/');
  await say('every state is shown, the worst first');
}

async function followsStates(page) {
  await become('/prices', { EUR: 2 });
  await eventually(async () => (await states(page))['/prices'] === 'live');
  await eventually(async () => /\/prices is live/.test(await page.textContent('#announcer')));
  const age = () => page.$eval('tr[data-state=down] + tr [data-name="Data is"] time, tr [data-name="Data is"] time', (time) => time.textContent);
  await become('/prices', '');
  await eventually(async () => (await states(page))['/prices'] === 'stale');
  const before = await age();
  await eventually(async () => (await age()) !== before);
  await say('states and ages change by themselves, and states are told');
}

/** The document that an open tree shows, read back from its elements. */
async function shown(page) {
  const text = await page.$eval('.tree > li', read).catch(() => 'null'); // the tree may just change
  return JSON.parse(text);
}

/** Runs in the page. */
function read(item) {
  const read = (item) => {
    const branch = item.querySelector(':scope > details');
    if (!branch) return JSON.parse(item.querySelector(':scope > .string, :scope > .literal').textContent);
    const children = [...branch.querySelectorAll(':scope > ul > [data-pointer]')];
    if (branch.querySelector('summary > .quiet').textContent.startsWith('[')) return children.map(read);
    const made = {};
    for (const child of children) {
      const name = child.querySelector(':scope > .key, :scope > details > summary > .key').textContent;
      Object.defineProperty(made, name, { value: read(child), enumerable: true });
    }
    return made;
  };
  return JSON.stringify(read(item));
}

async function followsADocument(page) {
  await go(page, `/?feed=${encodeURIComponent('/orders')}`);
  await page.click('text=Open all');
  const serve = async (document) => {
    await become('/orders', document);
    await eventually(async () => same(await shown(page), document));
  };
  await serve([order(1), order(2), order(3)]);
  await serve([order(1, 'paid'), order(2), order(3)]);
  const changed = '.tree [data-pointer="/0/status"]';
  await page.waitForSelector(`${changed}.mark.changed`);
  assert.match(await page.textContent(changed), /"paid" changed, was "new"/);
  const newest = await page.textContent('.events ol > li');
  assert.match(newest, /\/0\/status/);
  assert.match(newest, /"new" → "paid"/);

  await serve([order(4), order(1, 'paid'), order(3)]);
  await page.waitForSelector('.tree .mark.added[data-pointer="/0"]');
  assert.match(await page.textContent('.tree .mark.removed'), /customer 2|removed/);
  await serve([order(3), order(4), order(1, 'sent')]);
  await page.waitForSelector('.tree [data-pointer="/2/status"].mark.changed');
  await say('a document is followed, and what changed in it is marked');
}

/** A change that no patch makes smaller. */
async function becomesWhole(page) {
  await become('/orders', ['something else']);
  await eventually(async () => same(await shown(page), ['something else']));
  await eventually(async () => /Sent as a whole/.test(await page.textContent('.events ol > li')));
  await become('/orders', [order(1), order(2), order(3)]);
  await eventually(async () => same(await shown(page), [order(1), order(2), order(3)]));
  await say('a change that is sent as a whole is told');
}

async function pollsNow(page) {
  await page.click('text=Poll now');
  await eventually(async () => /A poll is on its way/.test(await page.textContent('.actions')));
  await go(page, `/?feed=${encodeURIComponent('/rates')}`);
  await eventually(async () => /paused/.test(await page.textContent('.topic-head')));
  await page.click('text=Poll now');
  await eventually(async () => /nobody listens/.test(await page.textContent('.actions')));
  const why = await page.textContent('.why');
  assert.match(why, /Why nothing was sent lately: \S/);
  await say('a poll can be asked for, and why there is none is told');
}

async function showsHostileThingsAsText(page) {
  await go(page, `/?feed=${encodeURIComponent('/hostile')}`);
  await page.click('text=Open all');
  await eventually(async () => same(await shown(page), HOSTILE));
  await become('/hostile', { ...HOSTILE, '<b>new</b>': '<img src=x onerror="hacked()">' });
  await page.waitForSelector('.tree .mark.added');
  const made = await page.$$eval('main img, main script, main b', (found) => found.map((one) => one.textContent));
  assert(made.every((text) => !/hacked|new/.test(text)), `nothing of it is markup: ${made}`);
  assert.equal(await page.evaluate(() => window.wasHacked), undefined);
  assert.equal(await page.evaluate(() => ({}).polluted), undefined);
  await say('hostile documents are shown as text');
}

async function staysQuickWithLargeDocuments(page) {
  await go(page, `/?feed=${encodeURIComponent('/large')}`);
  await page.waitForSelector('.tree summary, .document .waiting');
  const elements = await page.$$eval('main *', (all) => all.length);
  assert(elements < 5000, `10,000 rows make ${elements} elements`);
  const square = Array.from({ length: 100 }, (_, row) => Array.from({ length: 100 }, (_, column) => ({ row, column })));
  await become('/large', square);
  await page.click('text=Open all');
  await page.waitForSelector('.tree [data-pointer="/9/9/row"]');
  const opened = await page.$$eval('main *', (all) => all.length);
  assert(opened < 20000, `opening all makes ${opened} elements`);
  await become('/large', '[123456789012345678901234567890]');
  await eventually(async () => /≈ 1.23.*more digits/.test(await page.textContent('.tree')));
  await say(`10,000 rows make ${elements} elements, and numbers that a browser cannot hold are told`);
}

async function showsNoise(page) {
  await go(page, `/?feed=${encodeURIComponent('/noisy')}`);
  await eventually(async () => (await page.$('.findings')) !== null
    && /ignore: \[.*generated_at/.test(await page.textContent('.findings')));
  await say('noise is shown with the line against it');
}

async function pagesThroughTopics(page) {
  const names = Array.from({ length: 55 }, (_, n) => `n${n}`);
  names.push('%3Cimg%20src=x%20onerror=hacked()%3E');
  for (const name of names) {
    const options = { headers: { accept: 'text/event-stream' }, signal: listening.signal };
    await fetch(`${feeds}/items/${name}`, options);
  }
  await go(page, `/?feed=${encodeURIComponent('/items/{id}')}`);
  const rows = () => page.$$eval('.feeds tbody th a', (links) => links.map((link) => link.textContent));
  await eventually(async () => (await rows()).length === 50);
  const first = await rows();
  await page.click('text=Next page');
  await eventually(async () => (await rows()).length === names.length - 50);
  const all = [...first, ...await rows()];
  assert.equal(new Set(all).size, names.length, 'each topic once');
  assert(all.some((path) => path.includes('img')), 'the hostile one as text');
  await page.click('text=Previous page');
  await eventually(async () => same(await rows(), first));
  await page.click('.feeds tbody th a');
  await page.waitForSelector('.tree');
  assert.equal(await page.textContent('h1'), first[0]);
  assert.equal(await page.evaluate(() => window.wasHacked), undefined);
  await page.goBack();
  await eventually(async () => (await rows()).length === 50);
  await say('topics are paged through, and back leads back');
}

async function hidesSecrets(page) {
  await go(page, '/?view=configuration');
  await page.waitForSelector('.yaml .secret');
  const text = await page.textContent('main');
  assert.match(text, /warehouse/);
  assert.doesNotMatch(text, /sesame/);
  await say('the configuration is shown without its secrets');
}

async function survivesRestart(page) {
  await go(page, `/?feed=${encodeURIComponent('/orders')}`);
  await page.click('text=Open all');
  await say('stop');
  await page.waitForSelector('#banner:not([hidden])');
  assert.match(await page.textContent('#banner'), /hears nothing/);
  await become('/orders', [order(7)]);
  await say('start');
  await eventually(async () => same(await shown(page), [order(7)]), 60000);
  await page.waitForSelector('#banner', { state: 'hidden' });
  const others = complaints.filter((text) => !/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE|ERR_CONNECTION_RESET|404/.test(text));
  assert.deepEqual(others, [], 'console');
  await say('the page goes on by itself after a restart');
}

function same(a, b) {
  try {
    assert.deepStrictEqual(sorted(a), sorted(b));
    return true;
  } catch {
    return false;
  }
}

/** A value in which the order of members does not count. */
function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== 'object') return value;
  return Object.keys(value).sort().map((name) => [name, sorted(value[name])]);
}

async function eventually(ready, patience = 20000) {
  const deadline = Date.now() + patience;
  while (!(await ready())) {
    assert(Date.now() < deadline, `never happened: ${ready}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
