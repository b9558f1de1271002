// The latest polls as a strip of bars, and the latest events as lists of what they did.

import { aside, h } from './dom.js';
import { at, count, moving, several, size, span } from './format.js';
import { brief } from './tree.js';

const GOOD = { changed: 'changed', unchanged: 'unchanged', not_modified: 'not modified' };
const [STEP, HIGH] = [16, 48]; // of a bar, in pixels
const MOST_EVENTS = 6; // that are listed at once
const MOST_OPS = 12; // operations of a patch that are listed at once

/** The polls of late: a bar's height is how long it took, its shape and colour what came of it. */
export function polls(list) {
  const longest = Math.max(...list.map((poll) => poll.took_ms ?? 0), 1);
  const failed = list.filter((poll) => !(poll.outcome in GOOD)).length;
  const changed = list.filter((poll) => poll.outcome === 'changed').length;
  return h('section', { class: 'panel polls', 'aria-labelledby': 'polls-title' },
    h('div', { class: 'bar' }, h('h2', { id: 'polls-title' }, 'Polls of late')),
    list.length === 0 ? h('p', { class: 'waiting' }, 'Nobody has asked the upstream yet.') : [
      h('div', { class: 'strip' },
        h('svg', { viewBox: `0 0 ${20 * STEP} ${HIGH + 18}`, 'aria-hidden': 'true', focusable: 'false' },
          ...list.map((poll, index) => bar(poll, 20 - 1 - index, longest)))),
      h('p', { class: 'legend' }, 'The newest is on the right; ', `the highest took ${span(longest)}. `,
        h('span', { class: 'changed' }, `● ${several(changed, 'change')}`), ' ',
        h('span', { class: failed ? 'failed' : 'quiet' }, `✕ ${several(failed, 'failure')}`)),
      h('details', { class: 'as-table' }, h('summary', null, 'As a table'), pollTable(list)),
    ]);
}

function bar(poll, place, longest) {
  const tall = Math.max(2, (HIGH * (poll.took_ms ?? 0)) / longest);
  const [x, y] = [place * STEP + STEP / 2, HIGH + 10];
  const kind = poll.outcome === 'changed' ? 'changed' : poll.outcome in GOOD ? 'calm' : 'failed';
  const sign = {
    changed: () => h('circle', { cx: x, cy: y, r: 4 }),
    calm: () => h('rect', { x: x - 3, y: y - 1, width: 6, height: 2 }),
    failed: () => h('path', { d: `M${x - 4} ${y - 4}l8 8m0-8l-8 8`, class: 'cross' }),
  }[kind]();
  return h('g', { key: poll.at, class: kind },
    h('title', null, `${GOOD[poll.outcome] ?? poll.outcome} after ${span(poll.took_ms ?? 0)}`),
    h('rect', { x: x - 5, y: HIGH - tall, width: 10, height: tall, rx: 1.5, class: 'took' }), sign);
}

function pollTable(list) {
  const head = ['At', 'Outcome', 'Took', 'Body'];
  return h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Polls of late' },
    h('table', { class: 'plain' },
      h('thead', null, h('tr', null, ...head.map((name) => h('th', { scope: 'col' }, name)))),
      h('tbody', null, ...list.map((poll) => h('tr', { key: poll.at },
        h('th', { scope: 'row' }, at(poll.at)),
        h('td', null, GOOD[poll.outcome] ?? poll.outcome.replaceAll('_', ' '),
          poll.reason && h('span', { class: 'under', dir: 'auto' }, poll.reason)),
        h('td', null, span(poll.took_ms ?? 0)),
        h('td', null, size(poll.body_bytes)))))));
}

/** The latest events; `before(id, op)` is what stood where an operation has worked. */
export function events(list, before) {
  return h('section', { class: 'panel events', 'aria-labelledby': 'events-title' },
    h('div', { class: 'bar' }, h('h2', { id: 'events-title' }, 'Latest changes ', h('small', null, count(list.length)))),
    list.length === 0
      ? h('p', { class: 'waiting' }, 'No change yet.')
      : [
        h('ol', null, ...list.slice(0, MOST_EVENTS).map((event) => one(event, before))),
        list.length > MOST_EVENTS && h('details', { key: 'older' },
          h('summary', null, several(list.length - MOST_EVENTS, 'older change')),
          h('ol', null, ...list.slice(MOST_EVENTS).map((event) => one(event, before)))),
      ]);
}

function one(event, before) {
  const { patch, ...others } = event.forms ?? {};
  const forms = Object.entries({ patch, ...others }).filter(([, form]) => form?.bytes != null);
  return h('li', { key: event.id },
    h('p', { class: 'head' }, h('b', null, patch ? 'patch' : 'snapshot'),
      ' ', h('span', { class: 'id' }, aside('id '), `…-${event.id.slice(event.id.lastIndexOf('-') + 1)}`),
      ' ', moving(event.at, 'ago'),
      h('span', { class: 'sizes' }, forms.map(([name, { bytes }]) => `${name} ${size(bytes)}, `), `whole ${size(event.document_bytes)}`)),
    operations(event, patch, before));
}

const isFirst = (id) => id.endsWith('-1');

function operations({ id, omitted }, patch, before) {
  if (!patch) return h('p', { class: 'quiet' }, isFirst(id) ? 'The first document.' : 'Sent as a whole; there is no patch of it.');
  const ops = patch.data;
  if (!ops) return h('p', { class: 'quiet' }, LEFT_OUT[omitted] ?? 'What it did is not shown.');
  const lines = ops.map((op, index) => operation(op, before(id, index)));
  return [
    h('ul', { class: 'ops' }, ...lines.slice(0, MOST_OPS)),
    ops.length > MOST_OPS && h('details', null, h('summary', null, `${several(ops.length - MOST_OPS, 'more operation')}`),
      h('ul', { class: 'ops' }, ...lines.slice(MOST_OPS))),
  ];
}

const LEFT_OUT = {
  too_large: 'Too large to be shown here.',
  private: 'Private: it is shown to nobody but its subscribers.',
};

const SIGNS = {
  add: ['+', 'added'], copy: ['+', 'copied'], remove: ['−', 'removed'],
  replace: ['~', 'changed'], move: ['→', 'moved'], test: ['=', 'checked'],
};

function operation({ op, path, from, value }, was) {
  const [sign, word] = SIGNS[op] ?? ['?', op];
  const old = op !== 'move' && op !== 'copy' && op !== 'add' && was !== undefined;
  return h('li', { class: op },
    h('span', { class: 'sign', 'aria-hidden': 'true' }, sign), aside(`${word} `),
    h('code', { class: 'path', dir: 'auto' }, path || 'the whole document'), ' ',
    from !== undefined && ['from ', h('code', { dir: 'auto' }, from), ' '],
    old && [h('del', { dir: 'auto' }, brief(was)), value !== undefined && ' → '],
    value !== undefined && h('ins', { dir: 'auto' }, brief(value)));
}
