// The demo page: two live objects, and a table.
//
//   /orders      the feed under watch: an array of orders, told as snapshots and patches
//   /desk/stats  a second feed: {"polls", "since_seconds"}, what the legacy API counted itself

import { live } from '/pollcast.js';

const POLLED_EVERY = 2; // seconds between the requests of a browser that polls
const EVENTS_SHOWN = 50;
const BROWSERS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000];

const $ = (id) => document.getElementById(id);
const bytes = (text) => new TextEncoder().encode(text).length;
const still = matchMedia('(prefers-reduced-motion: reduce)');

// ---------------------------------------------------------------------------------- the table

const time = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23',
});
const COLUMNS = [
  ['order', ({ id }) => id],
  ['customer', ({ customer, city }) => [customer, city]],
  ['items', ({ items }) => items.map(({ quantity, name }) => `${quantity}\u00a0×\u00a0${name}`).join(', ')],
  ['total number', ({ total }) => `€${total.toFixed(2)}`],
  ['status', ({ status }) => status],
  ['courier', ({ courier }) => courier ?? ''],
  ['eta number', ({ eta_minutes: eta }) => (eta === undefined ? '' : `${eta} min`)],
  ['updated number', ({ updated }) => time.format(new Date(updated))],
];
const rows = new Map(); // by order id

function showOrders(orders) {
  const body = $('orders');
  const before = new Map([...rows].map(([id, row]) => [id, row.offsetTop]));
  const fresh = rows.size === 0;

  const wanted = new Set(orders.map(({ id }) => id));
  for (const [id, row] of rows) if (!wanted.has(id)) leave(id, row);

  let place = body.firstElementChild;
  for (const order of orders) {
    const row = rows.get(order.id) ?? enter(order.id, fresh);
    fill(row, order);
    while (place?.dataset.leaving) place = place.nextElementSibling;
    if (row === place) place = place.nextElementSibling;
    else body.insertBefore(row, place);
  }
  glide(before);
  $('orders-count').textContent = `${orders.length} on the desk`;
  $('waiting').hidden = true;
}

function enter(id, quietly) {
  const row = document.createElement('tr');
  row.setAttribute('role', 'row');
  COLUMNS.forEach(([name], at) => {
    const cell = document.createElement(at ? 'td' : 'th');
    cell.className = name;
    cell.setAttribute('role', at ? 'cell' : 'rowheader');
    if (!at) cell.scope = 'row';
    row.append(cell);
  });
  row.dataset.fresh = 'true'; // its cells are new, not changed
  if (!quietly) row.classList.add('enters');
  rows.set(id, row);
  return row;
}

function leave(id, row) {
  rows.delete(id);
  if (still.matches) return row.remove();
  row.dataset.leaving = 'true';
  row.setAttribute('aria-hidden', 'true');
  row.animate([{ opacity: 1 }, { opacity: 0 }], { duration: 350, fill: 'forwards' })
    .finished.then(() => {
      const before = new Map([...rows].map(([id, row]) => [id, row.offsetTop]));
      row.remove();
      glide(before);
    });
}

function fill(row, order) {
  row.dataset.status = order.status;
  COLUMNS.forEach(([, read], at) => {
    const cell = row.cells[at];
    const [text, detail] = [read(order)].flat();
    const key = JSON.stringify([text, detail]);
    if (cell.dataset.shown === key) return;
    cell.dataset.shown = key;
    const content = document.createElement('span');
    content.textContent = text;
    cell.replaceChildren(content);
    if (detail) {
      const small = document.createElement('small');
      small.textContent = detail;
      cell.append(' ', small);
    }
    cell.classList.toggle('empty', text === '');
    if (!row.dataset.fresh) flash(cell);
  });
  delete row.dataset.fresh;
}

/** Marks a changed cell for a moment. */
function flash(cell) {
  cell.classList.remove('changed');
  void cell.offsetWidth; // restarts the animation when a cell changes again
  cell.classList.add('changed');
  clearTimeout(cell.flashing);
  cell.flashing = setTimeout(() => cell.classList.remove('changed'), 1800);
}

/** Lets rows slide from where they were to where they are. */
function glide(before) {
  if (still.matches) return;
  for (const [id, row] of rows) {
    const by = before.has(id) ? before.get(id) - row.offsetTop : 0;
    if (by) {
      row.animate([{ transform: `translateY(${by}px)` }, { transform: 'none' }],
        { duration: 300, easing: 'ease-out' });
    }
  }
}

// ------------------------------------------------------------------------------ the raw events

let events = 0;
let received = 0;

function showEvent(name, id, data) {
  events += 1;
  const frame = `event: ${name}\n${id && `id: ${id}\n`}data: ${data}\n\n`;
  received += bytes(frame);
  $('events-count').textContent = `${events.toLocaleString()} so far`;

  const head = element('div', 'head', element('b', `name ${name}`, name));
  if (id) head.append(element('span', 'id', `id …${id.slice(id.lastIndexOf('-'))}`, id));
  head.append(element('span', 'size', size(bytes(frame))));
  const pre = element('pre');
  pre.append(...elements(data).map((line) => element('span', 'line', ...coloured(line))));
  list(element('li', '', head, pre));
}

/** A line of the page's own between the events. */
function note(text) {
  list(element('li', 'note', text));
}

function list(entry) {
  const scroll = $('events').parentElement;
  const height = scroll.scrollHeight;
  $('events').prepend(entry);
  while ($('events').children.length > EVENTS_SHOWN) $('events').lastElementChild.remove();
  // Whoever has scrolled down to read is not pushed away.
  if (scroll.scrollTop > 8) scroll.scrollTop += scroll.scrollHeight - height;
}

/** The text as it came, an array's elements on lines of their own, long arrays cut. */
function elements(text, most = 6) {
  if (!text.startsWith('[')) return [text];
  const lines = [];
  let [depth, begin, inString] = [0, 1, false];
  for (let at = 0; at < text.length; at += 1) {
    const c = text[at];
    if (inString) {
      if (c === '\\') at += 1;
      else if (c === '"') inString = false;
    } else if (c === '"') inString = true;
    else if (c === '[' || c === '{') depth += 1;
    else if (c === ']' || c === '}') depth -= 1;
    if (!inString && ((c === ',' && depth === 1) || depth === 0)) {
      lines.push(text.slice(begin, at + (depth === 0 ? 0 : 1)));
      begin = at + 1;
    }
  }
  const more = lines.length - most;
  if (more > 1) lines.splice(most, more, `… ${more} more`);
  return lines.map((line, at) => `${at ? ' ' : '['}${line}${at === lines.length - 1 ? ']' : ''}`);
}

function* coloured(json) {
  const token = /("(?:\\.|[^"\\])*")(\s*:)?|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\b(?:true|false|null)\b/g;
  let end = 0;
  for (const match of json.matchAll(token)) {
    yield json.slice(end, match.index);
    const [all, string, colon] = match;
    if (colon) yield document.createElement('wbr'); // break lines between members, not inside
    yield element('span', colon ? 'key' : string ? 'string' : 'literal', string ?? all);
    if (colon) yield colon;
    end = match.index + all.length;
  }
  yield json.slice(end);
}

function element(tag, className = '', ...content) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (className === 'id') made.title = content.pop();
  made.append(...content);
  return made;
}

// ------------------------------------------------------------------------------- the counters

const spared = { polls: 0, seconds: 0, full: 0, last: undefined };

/** Adds what happened since the last look; a desk that was restarted counts from anew. */
function count(stats) {
  const { last } = spared;
  spared.last = stats;
  if (last === undefined || stats.since_seconds < last.since_seconds) return;
  const seconds = stats.since_seconds - last.since_seconds;
  spared.polls += stats.polls - last.polls;
  spared.seconds += seconds;
  spared.full += (seconds / POLLED_EVERY) * bytes(JSON.stringify(orders.document ?? []));
}

function showCounters() {
  const browsers = BROWSERS[$('browsers').value];
  const named = `${browsers.toLocaleString()} ${browsers === 1 ? 'browser' : 'browsers'}`;
  const requests = Math.round((browsers * spared.seconds) / POLLED_EVERY);
  $('browsers-count').textContent = browsers.toLocaleString();
  $('browsers-named').textContent = named;
  $('browsers').setAttribute('aria-valuetext', named);
  compare('polls', spared.polls, 'requests', requests, (n) => n.toLocaleString());
  compare('received', received, 'full', Math.max(spared.full, 0), size);
}

function compare(ours, a, theirs, b, text) {
  const most = Math.max(a, b, 1);
  for (const [id, value] of [[ours, a], [theirs, b]]) {
    $(id).textContent = text(value);
    $(`${id}-bar`).style.width = `${(100 * value) / most}%`;
  }
}

function size(n) {
  if (n < 1000) return `${Math.round(n)} B`;
  const [value, unit] = n < 1e6 ? [n / 1e3, 'kB'] : [n / 1e6, 'MB'];
  return `${value.toFixed(value < 100 ? 1 : 0)} ${unit}`;
}

// ------------------------------------------------------------------------------------ wiring

let orders;
let stats;

/** Opens both streams, from where they were closed if they were. */
function open() {
  orders = live('/orders', { share: true, ...kept(orders) });
  orders.addEventListener('event', ({ name, id, data }) => {
    showEvent(name, id, data);
    showCounters();
  });
  orders.subscribe(showOrders);
  orders.addEventListener('state', showState);
  stats = live('/desk/stats', { share: true, ...kept(stats) });
  stats.addEventListener('change', () => {
    count(stats.document);
    showCounters();
  });
  showState();
}

function kept(feed) {
  return feed && { document: feed.document, lastEventId: feed.lastEventId };
}

function showState() {
  const { reason } = orders.freshness;
  const isAgain = orders.state === 'connecting' && orders.document !== undefined;
  const state = isAgain ? 'reconnecting' : reason === 'closed' ? 'closed' : orders.state;
  document.documentElement.dataset.state = state;
  const says = { stale: 'stale: the desk does not answer', down: 'down: no answer from the desk' };
  $('state').textContent = says[state] ?? state;
  $('toggle').textContent = orders.state === 'ended' ? 'Open stream' : 'Close stream';
}

$('toggle').addEventListener('click', () => {
  const { lastEventId: id } = orders;
  const at = id.slice(id.lastIndexOf('-'));
  if (orders.state === 'ended') {
    note(at ? `stream opened again after id …${at}` : 'stream opened again from the start');
    open();
  } else {
    orders.close();
    stats.close();
    spared.last = undefined; // time without a stream counts for neither side
    note(at ? `stream closed by you at id …${at}` : 'stream closed by you');
  }
});
$('browsers').addEventListener('input', showCounters);
$('curl').textContent = `curl -N -H 'Accept: text/event-stream' ${location.origin}/orders`;

window.pollcastDemo = {
  orders: () => orders.document,
  lastId: () => orders.lastEventId,
  get events() { return events; },
};

open();
