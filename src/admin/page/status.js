// The status page of pollcast's private listener. It listens to `/api/status`, and to
// `/api/topic` while a topic is looked at, and shows one view at a time:
//
//   /                      overview.js       /?feed=PATH            topic.js or topics.js
//   /?view=upstreams       upstreams.js      /?topic=ID             topic.js
//   /?view=configuration   configuration.js

import { live } from '/pollcast.js';
import { ConfigurationView } from './configuration.js';
import { h, render } from './dom.js';
import { at, setClock, tick } from './format.js';
import { overview, verdict } from './overview.js';
import { TopicView } from './topic.js';
import { TopicsView } from './topics.js';
import { upstreams } from './upstreams.js';

const BLINK = 1200; // milliseconds without a stream that nobody needs to know of
const $ = (id) => document.getElementById(id);
const shared = { share: true }; // one stream for all tabs, which is the same for everybody
const status = live('/api/status', shared);
let open = { name: '' }; // the view that keeps something while it is open, and its stream
let planned = 0;
let lost; // since when the page has no stream

// ---------------------------------------------------------------------------------- the views

function show() {
  planned = 0;
  const query = new URLSearchParams(location.search);
  const known = status.document;
  if (known) {
    const [title, ...content] = chosen(query, known);
    document.title = `${title} · pollcast`;
    render($('main'), ...content);
    footer(known);
    announce(known);
  }
  navigation(query);
  connection();
}

function plan() {
  planned ||= requestAnimationFrame(show);
}

function chosen(query, known) {
  const path = query.get('feed');
  const id = query.get('topic');
  if (id !== null) return topic(id, undefined, known);
  if (path !== null) {
    const feed = known.feeds.find((feed) => feed.path === path);
    if (!feed) return missing(`There is no feed ${path}`);
    return feed.topic_id ? topic(feed.topic_id, feed, known) : topics(feed);
  }
  if (query.get('view') === 'configuration') {
    keep('configuration', () => ({ view: new ConfigurationView(plan) }));
    return ['Configuration', open.view.view()];
  }
  keep('');
  if (query.get('view') === 'upstreams') return ['Upstreams', upstreams(known)];
  return [verdict(known), overview(known, { query, set })];
}

function topics(feed) {
  keep(`feed ${feed.path}`, () => ({ view: new TopicsView(feed.path, plan) }));
  open.view.learn(feed);
  return [feed.path, open.view.view(feed)];
}

function topic(id, feed, known) {
  // After a restart a feed has another topic, in which the same branches are open.
  const opened = feed && open.path === feed.path ? open.view.opened : undefined;
  keep(`topic ${id}`, () => ({
    path: feed?.path,
    view: new TopicView(plan, opened),
    stream: follow(live(`/api/topic?id=${encodeURIComponent(id)}`, shared)),
  }));
  const { stream, view } = open;
  if (!stream.document) {
    if (stream.state === 'ended') return missing('This topic is gone');
    return [feed?.path ?? 'Topic', h('h1', { dir: 'auto' }, feed?.path ?? 'Topic'), h('p', { class: 'quiet' }, 'Connecting…')];
  }
  view.learn(stream.document);
  view.isGone = stream.state === 'ended';
  const of = known.feeds.find(({ path }) => path === stream.document.feed) ?? {};
  // What is known of a feed with parameters is not known of each of its topics.
  const own = of.parameters ? { path: of.path, upstream: of.upstream, parameters: true } : of;
  return [stream.document.path, view.view(stream.document, own, known)];
}

function missing(what) {
  return [what, h('div', { class: 'intro' }, h('h1', { dir: 'auto' }, what),
    h('p', null, h('a', { href: '/' }, 'See what there is')))];
}

/** Keeps one thing for the view of this name, and closes that of the view before. */
function keep(name, make = () => ({})) {
  if (open.name === name) return;
  open.stream?.close();
  open.view?.close?.();
  open = { name, ...make() };
}

function follow(stream) {
  for (const type of ['change', 'state']) stream.addEventListener(type, plan);
  return stream;
}

// ------------------------------------------------------------------------- around the views

function navigation(query) {
  const here = query.has('feed') || query.has('topic') ? '/' : location.pathname + location.search;
  for (const link of document.querySelectorAll('.top nav a')) {
    const url = new URL(link.href);
    const isHere = url.searchParams.get('view') === new URLSearchParams(here.slice(1)).get('view');
    if (isHere) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
}

function footer({ version, listeners }) {
  render($('footer'), h('p', null, `pollcast ${version}`, listeners?.length > 0 && ` on ${listeners.join(', ')}`),
    h('p', null, h('a', { href: '/metrics' }, 'Metrics'), ' ', h('a', { href: '/api/openapi.json' }, 'API'), ' ',
      h('a', { href: '/api/status' }, 'This page as JSON')));
}

/** Says whether the page itself hears anything. */
function connection() {
  const isLive = status.state === 'live';
  if (isLive) lost = undefined;
  else if (!lost) {
    lost = new Date();
    setTimeout(plan, BLINK);
  }
  const words = { live: 'connected', connecting: 'connecting', offline: 'no connection', ended: 'ended' };
  const isLost = !isLive && status.document !== undefined && Date.now() - lost >= BLINK;
  $('link').dataset.state = isLive ? 'live' : isLost ? 'lost' : 'connecting';
  $('link-text').textContent = words[status.state] ?? status.state;
  document.documentElement.classList.toggle('lost', isLost);
  $('banner').hidden = !isLost;
  if (isLost) {
    render($('banner'), h('b', null, 'This page hears nothing from pollcast'), ' since ', at(lost.toISOString()),
      '. What it shows is from then; it goes on by itself.');
  } else render($('banner'));
}

let told; // the states that were shown before, by feed

/** Tells screen readers when a feed's state changes, and nothing else. */
function announce({ feeds }) {
  const states = new Map(feeds.map(({ path, state }) => [path, state]));
  const news = told ? [...states].filter(([path, state]) => told.has(path) && told.get(path) !== state) : [];
  told = states;
  if (news.length) {
    const some = news.slice(0, 3).map(([path, state]) => `${path} is ${state}`);
    if (news.length > 3) some.push(`${news.length - 3} more feeds have changed`);
    $('announcer').textContent = some.join('. ');
  }
}

// ------------------------------------------------------------------------------------ wiring

/** Changes a word of the address, which stays the same place in the history. */
function set(name, value) {
  const query = new URLSearchParams(location.search);
  if (value) query.set(name, value);
  else query.delete(name);
  history.replaceState(null, '', query.size ? `/?${query}` : '/');
  plan();
}

function arrive() {
  show();
  scrollTo(0, 0);
  $('main').focus({ preventScroll: true });
}

document.addEventListener('click', (event) => {
  const link = event.target.closest?.('a[href]');
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const url = new URL(link.href);
  if (url.origin !== location.origin || url.pathname !== '/' || url.hash) return;
  event.preventDefault();
  if (url.href !== location.href) history.pushState(null, '', url);
  arrive();
});
addEventListener('popstate', arrive);
addEventListener('keydown', (event) => {
  const isTyping = /^(input|select|textarea)$/.test(event.target.localName);
  if (event.key !== '/' || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  const filter = document.querySelector('.filter');
  if (!filter) return;
  event.preventDefault();
  filter.focus();
  filter.select();
});

follow(status);
setInterval(tick, 1000);
setInterval(() => setClock().catch(() => {}), 600_000);
setClock().catch(() => {}).finally(plan);
