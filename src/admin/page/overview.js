// The first view: is all well, what was spared, and every feed, the worst first.

import { h, icon } from './dom.js';
import { all, count, moving, prose, several, size } from './format.js';
import { age, badge, cell, filterBox, modes, plan, STATES, table } from './parts.js';

const SORTS = {
  worst: ['Worst first', (a, b) => STATES.indexOf(a.state) - STATES.indexOf(b.state)],
  path: ['Path', () => 0],
  subscribers: ['Most subscribers', (a, b) => b.subscribers.total - a.subscribers.total],
  age: ['Oldest data', (a, b) => when(a.last_success) - when(b.last_success)],
  change: ['Latest change', (a, b) => when(b.last_change) - when(a.last_change)],
  spared: ['Most requests spared', (a, b) => b.spared_requests - a.spared_requests],
  document: ['Largest document', (a, b) => b.document_bytes - a.document_bytes],
};
const when = (time) => (time ? Date.parse(time) : 0);

const COLUMNS = ['State', 'Feed', 'Data is', 'Next poll', 'Last change', 'Subscribers', 'Document', 'Spared'];

export function overview(status, { query, set }) {
  return [
    h('div', { class: 'intro' },
      h('h1', null, verdict(status)),
      h('p', { class: 'quiet' }, subtitle(status))),
    totals(status.totals),
    status.feeds.length ? feeds(status.feeds, query, set) : nothing(),
  ];
}

/** The state of everything in one sentence. */
export function verdict({ ready, feeds }) {
  if (!ready) return 'pollcast is draining: it takes no newcomers';
  if (!feeds.length) return 'No feeds are configured';
  const of = (state) => feeds.filter((feed) => feed.state === state).length;
  const [down, stale, live] = [of('down'), of('stale'), of('live')];
  const many = feeds.length;
  if (down + stale === 0) {
    if (live === 0) return many === 1 ? 'The only feed rests: nobody listens' : `${all(many, 'feeds')} rest: nobody listens`;
    if (live < many) return `All is well: ${several(live, 'feed')} live, ${count(many - live)} at rest`;
    return many === 1 ? 'The only feed is live' : `${all(many, 'feeds')} are live`;
  }
  if (many > 1 && (down === many || stale === many)) return `${all(many, 'feeds')} are ${down ? 'down' : 'stale'}`;
  const trouble = [down && `${down} down`, stale && `${stale} stale`].filter(Boolean).join(', ');
  return many === 1 ? `The only feed is ${down ? 'down' : 'stale'}` : `${trouble} of ${count(many)} feeds`;
}

function subtitle({ version, started, totals }) {
  return ['pollcast ', version, ', up for ', moving(started, 'age'), '; ',
    several(totals.subscribers, 'subscriber'), ' on ', several(totals.topics, 'topic'), '.'];
}

function totals(totals) {
  const asked = totals.polls + totals.spared_requests;
  const share = asked ? Math.floor((1000 * totals.spared_requests) / asked) / 10 : 0;
  const tile = (name, figure, note) => h('div', null,
    h('dt', null, name), h('dd', null, figure), h('dd', { class: 'note' }, note));
  return h('section', { class: 'panel', 'aria-label': 'Totals' }, h('dl', { class: 'totals' },
    tile('Subscribers', count(totals.subscribers), `on ${several(totals.feeds, 'feed')}`),
    tile('Requests spared', count(totals.spared_requests), share ? `${share}\u00a0% fewer than by polling` : 'nothing was shared yet'),
    tile('Polls made instead', count(totals.polls), 'since the start'),
    tile('Bytes spared', size(totals.spared_bytes), 'that upstreams did not send'),
    tile('Bytes sent', size(totals.sent_bytes), 'to subscribers')));
}

function nothing() {
  return h('section', { class: 'panel empty' },
    h('h2', null, 'What to do now'),
    h('p', null, 'pollcast passes requests through and polls nothing. Tell it what to poll under ',
      h('code', null, 'feeds'), ' in its configuration:'),
    h('pre', { tabindex: '0' }, 'feeds:\n  - { path: /orders, upstream: shop }'));
}

function feeds(known, query, set) {
  const wanted = query.get('filter') ?? '';
  const state = query.get('state');
  const sort = Object.hasOwn(SORTS, query.get('sort')) ? query.get('sort') : 'worst';
  const byPath = (a, b) => (a.path < b.path ? -1 : 1);
  const shown = known
    .filter((feed) => !state || feed.state === state)
    .filter((feed) => `${feed.path} ${feed.upstream}`.toLowerCase().includes(wanted.toLowerCase()))
    .sort((a, b) => SORTS[sort][1](a, b) || byPath(a, b));
  return h('section', { class: 'panel feeds', 'aria-labelledby': 'feeds-title' },
    h('div', { class: 'bar' },
      h('h2', { id: 'feeds-title' }, 'Feeds ', h('small', null, shown.length === known.length
        ? count(known.length) : `${count(shown.length)} of ${count(known.length)}`)),
      h('div', { class: 'states', role: 'group', 'aria-label': 'Only feeds that are' },
        ...STATES.map((one) => stateButton(one, known, state, set))),
      filterBox(wanted, 'Filter feeds', (text) => set('filter', text)),
      h('label', { class: 'choice' }, h('span', null, 'Sort'),
        h('select', { value: sort, onchange: ({ target }) => set('sort', target.value === 'worst' ? '' : target.value) },
          ...Object.entries(SORTS).map(([value, [name]]) => h('option', { value, selected: value === sort }, name))))),
    shown.length
      ? table('feeds-title', COLUMNS, shown.map(row))
      : h('p', { class: 'waiting' }, 'No feed is like that.'));
}

function stateButton(one, feeds, chosen, set) {
  const many = feeds.filter((feed) => feed.state === one).length;
  return h('button', {
    key: one, type: 'button', class: `chip ${one}`, 'aria-pressed': String(one === chosen),
    hidden: many === 0 && one !== chosen, onclick: () => set('state', one === chosen ? '' : one),
  }, icon(one), `${count(many)} ${one}`);
}

function row(feed) {
  const href = `/?feed=${encodeURIComponent(feed.path)}`;
  return h('tr', { key: feed.path, role: 'row', 'data-state': feed.state },
    cell('State', badge(feed.state)),
    h('th', { role: 'rowheader', scope: 'row', 'data-name': 'Feed' },
      h('a', { href, dir: 'auto' }, feed.path),
      h('span', { class: 'under', dir: 'auto' }, remark(feed))),
    cell('Data is', age(feed)),
    cell('Next poll', ...(feed.parameters ? ['each topic its own'] : plan(feed, true))),
    cell('Last change', moving(feed.last_change, 'ago')),
    cell('Subscribers', count(feed.subscribers.total), ...modes(feed.subscribers)),
    cell('Document', size(feed.document_bytes || null)),
    cell('Spared', count(feed.spared_requests), h('span', { class: 'under' }, size(feed.spared_bytes))));
}

/** The one thing to know of a feed: what is wrong, or else why nothing was sent. */
function remark(feed) {
  if (feed.reason && ['down', 'stale'].includes(feed.state)) return feed.reason;
  // When the next poll is far away, that stands in its own column.
  if (feed.quiet && feed.quiet.reason !== 'waiting') return prose(feed.quiet.text);
  return `${feed.parameters ? `${several(feed.topics, 'topic')} from` : 'from'} ${feed.upstream}`;
}
