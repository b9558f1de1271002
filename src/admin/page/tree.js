// A JSON document as a tree. Only what is open is made, and of long arrays a part, so that large
// documents stay quick. What the latest patch has touched is marked, in closed branches too.

import { aside, h } from './dom.js';
import { count, several } from './format.js';
import { below } from './patches.js';

const PART = 100; // children of one container that are shown at once
const ROOM = 3000; // values after which "Open all" opens no more
const PREVIEW = 56; // characters that a closed branch says of itself
const LONGEST = 4000; // characters of a text

/** What somebody has opened in a tree. */
export class Opened {
  #open = new Map();
  #shown = new Map();
  #all; // undefined, or whether everything is open

  constructor(onChange) {
    this.onChange = onChange;
  }

  /** Whether a branch is open; `room` is how many values more may be shown unless somebody asks for them. */
  is(pointer, depth, children, room) {
    const all = this.#all && room > 0;
    return this.#open.get(pointer) ?? all ?? (depth === 0 || (depth === 1 && children <= 12));
  }

  set(pointer, open) {
    if (this.#open.get(pointer) === open) return;
    this.#open.set(pointer, open);
    this.onChange();
  }

  all(open) {
    this.#open.clear();
    this.#shown.clear();
    this.#all = open;
    this.onChange();
  }

  shown(pointer) {
    return this.#shown.get(pointer) ?? PART;
  }

  more(pointer) {
    this.#shown.set(pointer, this.shown(pointer) + 5 * PART);
    this.onChange();
  }
}

/**
 * The tree of a document: `found` is what `marks` of the latest patch has found, `before(op)` what
 * stood there, and `beat` changes with each event, so that its marks flash once.
 */
export function tree(document, { found, before, beat, opened, label }) {
  const inside = new Map();
  const touched = [...found.marks.keys(), ...[...found.gone.keys()].map((pointer) => below(pointer, ''))];
  for (const pointer of touched) {
    for (let at = pointer.lastIndexOf('/'); at >= 0; at = pointer.lastIndexOf('/', at - 1)) {
      const parent = pointer.slice(0, at);
      inside.set(parent, (inside.get(parent) ?? 0) + 1);
      if (at === 0) break;
    }
  }
  const look = { found, before, beat: beat % 2 ? 'odd' : 'even', opened, inside, room: ROOM };
  return h('ul', { class: 'tree', 'aria-label': label, onkeydown: walk },
    node(undefined, document, '', 0, look));
}

function node(token, value, pointer, depth, look) {
  look.room -= 1;
  const mark = look.found.marks.get(pointer);
  const attributes = {
    key: `+${pointer}`, 'data-pointer': pointer, class: mark && `mark ${mark.kind} ${look.beat}`,
  };
  const name = token !== undefined && [h('span', { class: 'key', dir: 'auto' }, String(token)), ': '];
  const told = mark && notice(mark, look);
  if (value === null || typeof value !== 'object') return h('li', attributes, name, scalar(value), told);
  const keys = Array.isArray(value) ? value : Object.keys(value);
  const words = Array.isArray(value) ? `[${several(keys.length, 'element')}]` : `{${several(keys.length, 'member')}}`;
  const isOpen = look.opened.is(pointer, depth, keys.length, look.room);
  const touched = look.inside.get(pointer);
  const summary = h('summary', null, name, h('span', { class: 'quiet' }, words),
    !isOpen && touched && h('span', { class: `within ${look.beat}` }, ` ${several(touched, 'change')} inside`),
    told, !isOpen && h('span', { class: 'preview', dir: 'auto' }, preview(value)));
  return h('li', attributes, h('details', {
    open: isOpen, ontoggle: ({ target }) => look.opened.set(pointer, target.open),
  }, summary, isOpen && h('ul', null, ...children(value, keys, pointer, depth, look))));
}

function children(value, keys, pointer, depth, look) {
  const most = look.opened.shown(pointer);
  const tokens = Array.isArray(value) ? Array.from({ length: Math.min(most, value.length) }, (_, at) => at) : keys.slice(0, most);
  const left = keys.length - tokens.length;
  return [
    ...(look.found.gone.get(pointer) ?? []).map((one) => ghost(one, look)),
    ...tokens.map((token) => node(token, value[token], below(pointer, token), depth + 1, look)),
    left > 0 && h('li', { key: 'more' }, h('button', { type: 'button', onclick: () => look.opened.more(pointer) },
      `Show more of the ${count(left)} others`)),
  ];
}

/** What is there no more. */
function ghost({ token, op }, look) {
  const was = look.before(op);
  return h('li', { key: `-${op}`, class: `mark removed ${look.beat}` },
    h('span', { class: 'key', dir: 'auto' }, token),
    was !== undefined && [': ', h('del', null, brief(was))], h('span', { class: 'note' }, ' removed'));
}

function notice({ kind, from, op }, look) {
  if (kind === 'moved') return h('span', { class: 'note' }, ' moved', aside(' here'), from !== undefined && [' from ', h('code', { dir: 'auto' }, from)]);
  const was = kind === 'changed' ? look.before(op) : undefined;
  return h('span', { class: 'note' }, ` ${kind}`, was !== undefined && [', was ', h('del', null, brief(was))]);
}

/** What a closed branch says of itself: its first plain values. */
function preview(value) {
  const parts = [];
  for (const [name, inner] of Object.entries(Array.isArray(value) ? value.slice(0, 12) : value)) {
    if (inner !== null && typeof inner === 'object') continue;
    parts.push(Array.isArray(value) ? brief(inner, 24) : `${name}: ${brief(inner, 24)}`);
    if (parts.join().length > PREVIEW) break;
  }
  const text = parts.join(', ');
  return text.length > PREVIEW ? ` ${text.slice(0, PREVIEW)}…` : text && ` ${text}`;
}

/** A value on one line, cut where it is long. */
export function brief(value, most = 80) {
  if (value === undefined) return '';
  const text = JSON.stringify(value);
  return text.length > most ? `${text.slice(0, most)}…` : text;
}

export function scalar(value) {
  if (Math.abs(value) > Number.MAX_SAFE_INTEGER && typeof value === 'number') {
    return [h('span', { class: 'literal' }, `≈ ${value}`), h('span', { class: 'note' }, ' has more digits than a browser can hold')];
  }
  if (typeof value !== 'string') return h('span', { class: 'literal' }, String(value));
  const text = JSON.stringify(value);
  const cut = text.length > LONGEST;
  return [h('span', { class: 'string', dir: 'auto' }, cut ? `${text.slice(0, LONGEST)}…` : text),
    cut && h('span', { class: 'note' }, ` ${several(text.length, 'character')}`)];
}

/** Arrows go up and down over the branches, right opens, left closes or goes to the parent. */
function walk(event) {
  if (event.target.localName !== 'summary' || event.altKey || event.ctrlKey || event.metaKey) return;
  const summaries = [...event.currentTarget.querySelectorAll('summary')];
  const at = summaries.indexOf(event.target);
  const branch = event.target.parentElement;
  const move = {
    ArrowDown: () => summaries[at + 1]?.focus(),
    ArrowUp: () => summaries[at - 1]?.focus(),
    Home: () => summaries[0].focus(),
    End: () => summaries.at(-1).focus(),
    ArrowRight: () => (branch.open ? summaries[at + 1]?.focus() : (branch.open = true)),
    ArrowLeft: () => {
      if (branch.open) branch.open = false;
      else branch.parentElement.closest('details')?.querySelector('summary').focus();
    },
  }[event.key];
  if (!move) return;
  event.preventDefault();
  move();
}
