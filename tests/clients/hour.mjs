// An hour in the life of a feed, sixty times as fast: changes, bursts, an upstream that fails in every
// way, a pollcast that is restarted and killed, connections that are cut, stall and swallow, pages that
// sleep and are offline, tabs that come and go. SEED repeats a run.
//
//   node hour.mjs    POLLCAST names the binary, CHROMIUM the browser
//
// At each checkpoint all clients have the upstream's document, and have never had another one.
import assert from 'node:assert/strict';
import { build } from 'esbuild';
import { live } from '../../src/client/pollcast.js';
import {
  canonical, eventually, pause, play, startBrowser, startNetwork, startPollcast, startUpstream, visit,
} from './client_stage.mjs';

const HERE = new URL('.', import.meta.url).pathname;
const CLIENT = new URL('../../src/client/', import.meta.url).pathname;
const HEARTBEAT = { every: 1000, event: 'beat' };
const ITEMS = { at: '/rows', key: 'id' };

// What every page does with its feeds: keep what was shown since the last look.
const WATCH = `
  window.feeds = {};
  window.watch = (name, feed) => {
    feeds[name] = feed;
    feed.shown = [];
    feed.states = [];
    feed.addEventListener?.('change', ({ document }) => feed.shown.push(JSON.stringify(document)));
    feed.addEventListener?.('state', () => feed.states.push(feed.state));
  };`;
const page = (script) => `<!doctype html><title>page</title><main id="at"></main><script>${WATCH}</script><script type="module">${script}; window.isReady = true;</script>`;
const open = (feeds) => page(`import { live } from '/pollcast.js';
  for (const [name, options] of Object.entries(${JSON.stringify(feeds)})) watch(name, live('/feed', options))`);
const PAGES = {
  '/tab': open({ shared: { share: true } }),
  '/streams': open({
    patch: { heartbeat: HEARTBEAT }, merge: { mode: 'merge', heartbeat: HEARTBEAT },
    snapshot: { mode: 'snapshot', heartbeat: HEARTBEAT },
  }),
  '/fetched': open({
    items: { items: ITEMS, heartbeat: HEARTBEAT }, token: { headers: { authorization: 'Bearer a' }, heartbeat: HEARTBEAT },
    merge: { headers: {}, mode: 'merge', heartbeat: HEARTBEAT },
  }),
};
const EXAMPLES = {
  '/react': `import { createElement, useEffect } from 'react'; import { createRoot } from 'react-dom/client';
    import { useLive } from 'example/react.js';
    const seen = { shown: [], states: [] };
    feeds.react = seen;
    function Page() {
      const { document, state } = useLive('/feed', { heartbeat: ${JSON.stringify(HEARTBEAT)} });
      useEffect(() => { seen.document = document; if (document) seen.shown.push(JSON.stringify(document)); }, [document]);
      useEffect(() => { seen.state = state; seen.states.push(state); }, [state]);
      return createElement('p', null, document?.rows.length);
    }
    createRoot(at).render(createElement(Page))`,
  '/vue': `import { createApp, h, watch as look } from 'vue'; import { useLive } from 'example/vue.js';
    const seen = { shown: [], states: [] };
    feeds.vue = seen;
    createApp({ setup() {
      const { document, state } = useLive('/feed', { heartbeat: ${JSON.stringify(HEARTBEAT)} });
      look(document, (value) => { seen.document = value; seen.shown.push(JSON.stringify(value)); }, { flush: 'sync' });
      look(state, (value) => { seen.state = value; seen.states.push(value); }, { flush: 'sync' });
      return () => h('p', document.value?.rows.length);
    } }).mount(at)`,
};

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));
let dice = seed >>> 0;
const random = (below) => {
  dice = (Math.imul(dice, 1664525) + 1013904223) >>> 0;
  return Math.floor((dice / 2 ** 32) * below);
};

play(async () => {
  console.log(`seed ${seed}`);
  const hour = await begin();
  const { upstream, pollcast, networks, contexts } = hour;

  await chapter('many changes and bursts', async () => {
    for (let times = 0; times < 60; times += 1) {
      for (let burst = random(5); burst >= 0; burst -= 1) change(upstream);
      await pause(100);
    }
  });
  await chapter('connections cut at random', () => during(6000, async () => {
    change(upstream);
    networks[random(networks.length)].cut(() => random(2) === 0);
    await pause(random(400));
  }));
  await chapter('an upstream that refuses, fails and answers garbage', async () => {
    forgetStates(await hour.all());
    for (const fails of ['refuse', 500, 'garbage']) {
      upstream.fails = fails;
      for (let times = 0; times < 4; times += 1) {
        change(upstream);
        await pause(400);
      }
    }
    await eventually(async () => (await hour.all()).every(({ states }) => states.some((state) => state === 'stale' || state === 'down')), 'everybody is told');
    upstream.fails = undefined;
  });
  await chapter('pollcast restarted', async () => {
    await pollcast.stop();
    change(upstream);
    await pause(1500);
    await pollcast.start();
  });
  await chapter('pollcast killed', async () => {
    await pollcast.stop('SIGKILL');
    change(upstream);
    await pollcast.start();
  });
  await chapter('a network that swallows everything', async () => {
    for (const network of networks.slice(1)) network.swallows = true;
    for (let times = 0; times < 10; times += 1) {
      change(upstream);
      await pause(300);
    }
    for (const network of networks) network.swallows = false;
  });
  await chapter('offline, and connections that did not survive it', async () => {
    for (const context of contexts) await context.setOffline(true);
    for (const network of networks) network.cut();
    await during(3000, () => change(upstream) && pause(200));
    for (const context of contexts) await context.setOffline(false);
  });
  await chapter('pages that sleep while the network forgets them', async () => {
    const asleep = [hour.tabs[0], ...hour.others];
    const sessions = [];
    for (const each of asleep) sessions.push(await each.context().newCDPSession(each));
    for (const session of sessions) await session.send('Page.setWebLifecycleState', { state: 'frozen' });
    for (const network of networks) network.cut(() => random(2) === 0);
    await during(4000, () => change(upstream) && pause(200));
    for (const session of sessions) await session.send('Page.setWebLifecycleState', { state: 'active' });
  });
  await chapter('tabs that come and go', () => during(5000, async () => {
    change(upstream);
    if (hour.tabs.length > 2) await hour.tabs.splice(random(hour.tabs.length), 1)[0].close();
    else await hour.tab();
    await pause(200);
  }));
  await chapter('all of it at once', () => during(10000, async () => {
    change(upstream);
    const chosen = networks[random(networks.length)];
    const what = random(8);
    if (what === 0) chosen.cut();
    if (what === 1) chosen.refuses = !chosen.refuses;
    if (what === 2) upstream.fails = [undefined, 500, 'garbage', 'refuse'][random(4)];
    if (what === 3 && hour.tabs.length > 1) await hour.tabs.splice(0, 1)[0].close();
    if (what === 4 && !chosen.refuses && chosen === networks[0]) await hour.tab();
    await pause(random(200));
  }, () => {
    upstream.fails = undefined;
    for (const network of networks) network.refuses = false;
  }));

  async function chapter(title, happens) {
    await happens();
    await settled(hour, title);
    console.log(`${title}: ${(await hour.all()).length} clients are where the upstream is`);
  }
});

/** The upstream, pollcast, a network for each origin, and all clients. */
async function begin() {
  const upstream = await startUpstream({ rows: [], note: 'x'.repeat(400) }, { ...PAGES, ...(await examples()) });
  for (let times = 0; times < 8; times += 1) change(upstream);
  const pollcast = await startPollcast(`
upstreams: { legacy: { url: "${upstream.url}" } }
feeds:
  - path: /feed
    upstream: legacy
    request: { path: /data }
    poll: { interval: 100ms, linger: 2s }
    document: { items: /rows, key: id }
    events: { modes: [patch, merge, items, snapshot], history: { events: 50 } }
    deliver: { retry: 300ms, heartbeat: { every: 1s, event: beat } }
`);
  const networks = [];
  for (let count = 0; count < 4; count += 1) networks.push(await startNetwork(() => pollcast.port));
  const browser = await startBrowser();
  const contexts = [];
  const tabs = [];
  const others = [];
  const visited = async (context, url) => {
    const at = await visit(context, url);
    await at.waitForFunction(() => window.isReady ?? Object.keys(window.feeds).length > 0);
    return at;
  };
  for (let count = 0; count < 3; count += 1) contexts.push(await browser.newContext());
  const tab = async () => tabs.push(await visited(contexts[0], `${networks[0].url}/tab`));
  for (let count = 0; count < 3; count += 1) await tab();
  others.push(await visited(contexts[1], `${networks[1].url}/streams`));
  others.push(await visited(contexts[1], `${networks[2].url}/fetched`));
  for (const path of Object.keys(EXAMPLES)) others.push(await visited(contexts[2], `${networks[2].url}${path}`));

  const own = Object.entries({
    node: live(`${networks[3].url}/feed`, { heartbeat: HEARTBEAT }), items: live(`${networks[3].url}/feed`, { items: ITEMS, heartbeat: HEARTBEAT }),
  });
  for (const [, feed] of own) {
    Object.assign(feed, { shown: [], states: [] });
    feed.addEventListener('change', ({ document }) => feed.shown.push(JSON.stringify(document)));
    feed.addEventListener('state', () => feed.states.push(feed.state));
  }
  const look = (entries) => entries.map(([name, feed]) => ({
    name, text: JSON.stringify(feed.document), state: feed.state, shown: feed.shown.splice(0), states: feed.states,
  }));
  const all = async () => {
    const clients = look(own);
    for (const at of [...tabs, ...others]) {
      const found = await at.evaluate((text) => new Function(`return ${text}`)()(Object.entries(feeds)), String(look));
      clients.push(...found.map((client) => ({ ...client, at })));
    }
    for (const { name, shown } of clients) {
      const isItems = name === 'items';
      for (const text of shown) {
        const served = isItems ? upstream.rows : upstream.served;
        assert(served.has(canonical(JSON.parse(text), isItems)), `${name} showed what was never served: ${text}`);
      }
    }
    return clients;
  };
  const hour = { upstream, pollcast, networks, contexts, tabs, others, tab, all, own };
  await settled(hour, 'the beginning');
  return hour;
}

/** Nothing else happens until all clients are live and have what the upstream has. */
async function settled({ upstream, pollcast, all }, title) {
  let late = [];
  await eventually(async () => {
    await pollcast.poke('/feed');
    late = (await all()).filter(({ name, text, state }) => {
      const isItems = name === 'items';
      return state !== 'live' || canonical(JSON.parse(text), isItems) !== canonical(upstream.document, isItems);
    });
    return late.length === 0;
  }, title).catch((error) => {
    const who = late.map(({ name, state, text }) => `${name} is ${state} at ${text?.slice(-200)}`);
    throw new Error(`${error.message}, the upstream is at ${JSON.stringify(upstream.document).slice(-200)}: ${who.join('; ')}`);
  });
}

async function forgetStates(clients) {
  for (const { at } of clients) {
    await at?.evaluate(() => Object.values(feeds).forEach((feed) => feed.states.splice(0)));
  }
}

let changes = 0;

/** Rows come, change, move and go; seldom something else does, which items cannot tell. Returns true. */
function change(upstream) {
  const document = structuredClone(upstream.document);
  const { rows } = document;
  const kind = random(12);
  changes += 1;
  if (rows.length < 3 || kind < 2) rows.splice(random(rows.length + 1), 0, { id: changes, status: 'new', deep: { list: [1, 2, 3], name: `row/~${changes}` } });
  else if (kind === 2) rows.splice(random(rows.length), 1);
  else if (kind === 3) rows.push(rows.shift());
  else if (kind < 6) rows[random(rows.length)].deep.list = Array.from({ length: random(4) }, () => random(100));
  else if (kind === 6) document.extra = random(2) ? null : { a: random(10) };
  else rows[random(rows.length)].status = `s${random(1000)}`;
  if (rows.length > 30) rows.splice(0, 3);
  return Boolean(upstream.set(document));
}

async function during(ms, step, finish = () => {}) {
  for (const until = Date.now() + ms; Date.now() < until;) await step();
  await finish();
}

/** The examples in bundles, each with its page. */
async function examples() {
  const pages = {};
  for (const [path, text] of Object.entries(EXAMPLES)) {
    const { outputFiles: [{ text: script }] } = await build({
      stdin: { contents: text, resolveDir: HERE }, nodePaths: [`${HERE}node_modules`], bundle: true, format: 'esm', write: false, logLevel: 'error',
      alias: { pollcast: `${CLIENT}pollcast.js`, example: `${CLIENT}examples` },
      define: { 'process.env.NODE_ENV': '"production"', __VUE_OPTIONS_API__: 'true', __VUE_PROD_DEVTOOLS__: 'false', __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false' },
    });
    pages[`${path}.js`] = script;
    pages[path] = `<!doctype html><title>page</title><main id="at"></main><script>${WATCH}</script><script type="module" src="${path}.js"></script>`;
  }
  return pages;
}
