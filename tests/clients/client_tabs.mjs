// Tabs of one browser that share one connection of the client module.
//
//   node client_tabs.mjs SCENE    POLLCAST names the binary, CHROMIUM the browser
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { eventually, open, page, play, shows, stage, startBrowser } from './client_stage.mjs';

const scenes = {
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
};

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

const scene = scenes[process.argv[2]];
assert(scene, `one of ${Object.keys(scenes)}`);
play(scene);
