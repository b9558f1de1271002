// Every upstream: its servers, its circuit breaker, and how much of its limits is in use.

import { h, icon } from './dom.js';
import { all, count, moving, several, span } from './format.js';

const BREAKER = {
  closed: ['live', 'answers'],
  half_open: ['stale', 'is tried again'],
  open: ['down', 'is left alone'],
};

export function upstreams({ upstreams }) {
  return [
    h('div', { class: 'intro' },
      h('h1', null, verdict(upstreams)),
      h('p', { class: 'quiet' }, 'Whom pollcast asks, and how hard. ',
        'A circuit breaker that is open lets one poll try now and then.')),
    h('div', { class: 'cards-grid' }, ...upstreams.map(one)),
  ];
}

function verdict(upstreams) {
  const ill = upstreams.filter((upstream) => health(upstream)[0] !== 'live').length;
  if (!upstreams.length) return 'No upstreams are configured';
  if (ill) return `${count(ill)} of ${several(upstreams.length, 'upstream')} in trouble`;
  return upstreams.length === 1 ? 'The only upstream answers' : `${all(upstreams.length, 'upstreams')} answer`;
}

function health(upstream) {
  const { servers } = upstream;
  const well = servers.filter((server) => server.healthy).length;
  const [state, words] = BREAKER[upstream.circuit_breaker] ?? ['unknown', upstream.circuit_breaker];
  if (state !== 'live') return [state, words];
  if (upstream.failures > 1) return ['stale', 'polls fail'];
  if (servers.length && well === 0) return ['down', 'no server is healthy'];
  return well < servers.length ? ['stale', `${well} of ${servers.length} servers are healthy`] : [state, words];
}

function one(upstream) {
  const [state, words] = health(upstream);
  const title = `upstream-${upstream.name}`;
  const { quota, budget } = upstream;
  const fact = (name, ...value) => h('div', { key: name }, h('dt', null, name), h('dd', null, ...value));
  return h('section', { key: upstream.name, class: 'panel upstream', 'aria-labelledby': title },
    h('h2', { id: title }, upstream.name, ' ', h('small', { class: `state ${state}` }, icon(state), words)),
    h('dl', { class: 'facts' },
      fact('In flight', use(upstream.in_flight, upstream.max_in_flight)),
      fact('Waiting', count(upstream.waiting)),
      upstream.max_requests_per_second && fact('At most', `${count(upstream.max_requests_per_second)} a second`),
      budget && fact('Budget', `${count(budget.polls)} each ${span(budget.period_ms)}; ${count(budget.left)} may start now`),
      quota && fact('Quota', `${count(quota.remaining)} left, renewed `, moving(quota.until, 'due')),
      upstream.paused_until && fact('Asked to wait', 'on again ', moving(upstream.paused_until, 'due')),
      upstream.failures > 0 && fact('Failures in a row', count(upstream.failures))),
    h('ul', { class: 'servers', 'aria-label': `Servers of ${upstream.name}` }, ...upstream.servers.map(server)));
}

function use(used, most) {
  return [`${count(used)} of ${count(most)} `,
    h('meter', { min: 0, max: most, value: used, high: most * 0.9, 'aria-hidden': 'true' })];
}

function server({ server, address, weight, healthy, since, last_error: error }) {
  return h('li', { key: server },
    h('p', null, h('span', { class: `state ${healthy ? 'live' : 'down'}` }, icon(healthy ? 'live' : 'down'),
      healthy ? 'in use' : 'left out'), ' ', h('code', { dir: 'auto' }, server)),
    h('p', { class: 'under' }, [
      address && address !== server && !server.includes(address) && `at ${address}`,
      weight > 1 && `weight ${weight}`,
    ].filter(Boolean).join(', '), since && [' since ', moving(since, 'ago')]),
    error && h('p', { class: 'under bad', dir: 'auto' }, `last error: ${error}`));
}
