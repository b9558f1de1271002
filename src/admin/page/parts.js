// What several views show alike: a state, an age, the next poll, who listens; tables and filters.

import { aside, h, icon } from './dom.js';
import { count, moving, now, prose, span } from './format.js';

/** From the worst to the best. */
export const STATES = ['down', 'stale', 'live', 'paused'];

const NUMBERS = new Set(['Subscribers', 'Document', 'Spared']);

export function badge(state) {
  return h('span', { class: `state ${state}` }, icon(STATES.includes(state) ? state : 'unknown'), state);
}

export function age({ state, last_success: success }) {
  if (!success) return 'not there yet';
  return [moving(success, 'age'), ' old', state === 'stale' && aside(' and stale')];
}

/** When the next poll is due, and why then; in `brief`, without what could be done about it. */
export function plan(one, brief = false) {
  const { next_poll: next, interval_ms: interval, why_text: why } = one;
  if (one.state === 'paused') return ['when somebody listens'];
  // A countdown from less than a second is of no use, unless a failure has made the wait longer.
  const often = interval != null && interval < 1000 && Date.parse(next) - now() < 1500;
  const due = often ? `every ${span(interval)}` : moving(next, 'due', 'not planned');
  return [due, why && h('span', { class: 'under' }, brief ? prose(why.split(';')[0]) : prose(why))];
}

/** How many listen in each mode. */
export function modes(subscribers) {
  const names = ['patch', 'merge', 'items', 'snapshot'].filter((mode) => subscribers[mode] > 0);
  return names.map((mode) => h('span', { class: 'under', key: mode },
    names.length === 1 ? mode : `${count(subscribers[mode])} ${mode}`));
}

export function filterBox(value, label, onText) {
  return h('input', {
    key: 'filter', type: 'search', class: 'filter', value, 'aria-label': label, placeholder: `${label}  /`,
    'aria-keyshortcuts': '/', autocomplete: 'off', spellcheck: 'false',
    oninput: ({ target }) => onText(target.value),
  });
}

/** A table that becomes cards on a phone; the roles keep it a table for screen readers. */
export function table(labelledBy, columns, rows) {
  const head = columns.map((name) => h('th', {
    role: 'columnheader', scope: 'col', class: NUMBERS.has(name) && 'number',
  }, name));
  return h('table', { role: 'table', 'aria-labelledby': labelledBy, class: 'cards' },
    h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, ...head)),
    h('tbody', { role: 'rowgroup' }, ...rows));
}

export function cell(name, ...content) {
  return h('td', { role: 'cell', 'data-name': name, class: NUMBERS.has(name) && 'number' }, ...content);
}
