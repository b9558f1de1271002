// Visits the demo page with a real Chromium.
//
//   node page.mjs URL [FOLDER]    CHROMIUM names the browser; screenshots go to FOLDER
//
// Says what it has seen, a line each, then "all seen", and stays on the page until standard input
// ends. Fails with the reason if the page is not as promised.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { isDeepStrictEqual } from 'node:util';
import { chromium } from 'playwright-core';

const [url, folder] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? 'chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
try {
  const { page, complaints, requests } = await visit({ viewport: { width: 1280, height: 900 } });
  await tableEqualsFeed(page);
  await changesByItself(page);
  await countersMove(page);
  await resumesAfterClosing(page, requests);
  await fitsNarrowScreens(page);
  if (folder) await screenshots();

  const elsewhere = requests.filter((each) => new URL(each.url()).origin !== new URL(url).origin);
  assert.deepEqual(elsewhere.map((each) => each.url()), [], 'requests to other origins');
  assert.deepEqual(complaints, [], 'console');
  console.log('all seen');
  process.stdin.resume();
  await once(process.stdin, 'end');
} finally {
  await browser.close();
}

/** A page that has got its first snapshot, what it complains about, and what it asks for. */
async function visit(options) {
  const page = await browser.newPage(options);
  const complaints = [];
  const requests = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => requests.push(request));
  await page.goto(url);
  await page.waitForFunction(() => document.documentElement.dataset.state === 'live');
  await page.waitForFunction(() => window.pollcastDemo.orders()?.length > 0);
  return { page, complaints, requests };
}

/** What the rows say, as [order, status, total]; rows on their way out do not count. */
function rows(page) {
  return page.evaluate(() => {
    const text = (row, name) => row.querySelector(`.${name}`).textContent.trim();
    return [...document.querySelectorAll('#orders tr:not([data-leaving])')]
      .map((row) => [text(row, 'order'), text(row, 'status'), text(row, 'total')]);
  });
}

function asRows(orders) {
  return orders.map(({ id, status, total }) => [id, status, `€${total.toFixed(2)}`]);
}

/** The table shows the document that the page holds, and that is what the desk answers. */
async function tableEqualsFeed(page) {
  await eventually(async () => {
    // The desk moves on between these two looks now and then; then look again.
    const plain = (await (await fetch(new URL('/orders', url))).json()).data;
    const held = await page.evaluate(() => window.pollcastDemo.orders());
    const shown = await rows(page);
    return isDeepStrictEqual(held, plain) && isDeepStrictEqual(shown, asRows(plain));
  });
  console.log('the table shows what a GET answers');
}

async function changesByItself(page) {
  const before = JSON.stringify(await rows(page));
  const marked = page.waitForSelector('#orders .changed, #orders .enters', { timeout: 20000 });
  for (let times = 0, last = before; times < 3; times += 1) {
    let now;
    await eventually(async () => (now = JSON.stringify(await rows(page))) !== last);
    last = now;
  }
  await marked;
  console.log('the table changes by itself and marks what changed');
}

async function countersMove(page) {
  const read = async (id) => parseFloat((await page.textContent(`#${id}`)).replace(/[^\d.]/g, ''));
  const events = () => page.evaluate(() => window.pollcastDemo.events);
  const before = { polls: await read('polls'), requests: await read('requests'), events: await events() };
  await eventually(async () => (await read('polls')) > before.polls
    && (await read('requests')) > before.requests && (await events()) > before.events);
  const [polls, requests] = [await read('polls'), await read('requests')];
  assert(requests > 10 * polls, `500 browsers would have asked ${requests} times, pollcast ${polls}`);
  console.log(`the counters move: ${polls} polls against ${requests} requests`);
}

async function resumesAfterClosing(page, requests) {
  const asked = requests.length;
  await page.click('#toggle');
  await page.waitForFunction(() => document.documentElement.dataset.state === 'closed');
  const lastId = await page.evaluate(() => window.pollcastDemo.lastId());
  const held = JSON.stringify(await rows(page));
  // The desk moves on meanwhile, and the page does not.
  const answer = async () => JSON.stringify((await (await fetch(new URL('/orders', url))).json()).data);
  const then = await answer();
  await eventually(async () => (await answer()) !== then);
  assert.equal(JSON.stringify(await rows(page)), held);

  await page.click('#toggle');
  await page.waitForFunction(() => document.documentElement.dataset.state === 'live');
  await page.waitForFunction((id) => window.pollcastDemo.lastId() !== id, lastId);
  const again = requests.slice(asked).map((each) => new URL(each.url()));
  assert(again.some((each) => each.searchParams.get('last_event_id') === lastId), 'it resumes');
  const names = await page.$$eval('#events .name', (names) => names.map((name) => name.textContent));
  assert(!names.includes('reset'), 'its position is known');
  const newId = await page.evaluate(() => window.pollcastDemo.lastId());
  assert.equal(newId.split('-')[0], lastId.split('-')[0], 'the same epoch');
  await tableEqualsFeed(page);
  console.log(`the stream resumes after ${lastId}`);
}

async function fitsNarrowScreens(page) {
  for (const width of [390, 360]) {
    await page.setViewportSize({ width, height: 740 });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert(wide <= width, `${width} px hold a page of ${wide} px`);
  }
  console.log('no sideways scrolling at 360 px');
}

async function screenshots() {
  const looks = [
    ['desktop-light', { viewport: { width: 1280, height: 900 }, colorScheme: 'light' }],
    ['desktop-dark', { viewport: { width: 1280, height: 900 }, colorScheme: 'dark' }],
    ['phone-dark', { viewport: { width: 390, height: 844 }, colorScheme: 'dark', deviceScaleFactor: 2 }],
    ['narrow-light', { viewport: { width: 360, height: 740 }, colorScheme: 'light' }],
  ];
  for (const [name, options] of looks) {
    const { page } = await visit(options);
    await page.waitForTimeout(5000); // some events to look at
    await page.screenshot({ path: `${folder}/${name}.png` });
    await page.screenshot({ path: `${folder}/${name}-full.png`, fullPage: true });
    await page.close();
  }
  console.log(`screenshots in ${folder}`);
}

async function eventually(ready) {
  const deadline = Date.now() + 20000;
  while (!(await ready())) {
    assert(Date.now() < deadline, `never happened: ${ready}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
