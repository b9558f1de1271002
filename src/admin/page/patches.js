// What a JSON Patch (RFC 6902) did: which values of the document it made are new, and what stood
// there before.

import { patch } from '/pollcast.js';

const tokens = (pointer) => pointer.split('/').slice(1)
  .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));

/** The pointer of a member or element. */
export const below = (pointer, token) =>
  `${pointer}/${String(token).replaceAll('~', '~0').replaceAll('/', '~1')}`;

/**
 * Where in `document` the patch that led to it has left marks: a map of pointers to
 * `{ kind: 'added' | 'changed' | 'moved', from, op }`, and one of pointers to what is gone from
 * there, `[{ token, op }]`; `op` is the operation's index. It goes through the patch backwards, since
 * a later operation moves what an earlier one has touched.
 */
export function marks(document, operations) {
  const found = { marks: new Map(), gone: new Map() };
  const root = { kids: [{ value: document, pointer: '' }] };
  for (let op = operations.length - 1; op >= 0; op -= 1) undo(root, operations[op], op, found);
  return found;
}

function undo(root, { op: kind, path, from }, op, { marks, gone }) {
  const place = seek(root, path);
  if (!place || kind === 'test') return;
  if (kind === 'remove') {
    put(place, {}); // what it was is not known here
    const { pointer } = place.parent;
    if (pointer !== undefined) gone.set(pointer, [...(gone.get(pointer) ?? []), { token: place.token, op }]);
    return;
  }
  const node = kind === 'replace' ? swap(place, {}) : take(place);
  const mark = { add: 'added', copy: 'added', replace: 'changed', move: 'moved' }[kind];
  // The last operation on a value has the last word.
  if (node?.pointer !== undefined && !marks.has(node.pointer)) marks.set(node.pointer, { kind: mark, from, op });
  const origin = kind === 'move' && node && seek(root, from);
  if (origin) put(origin, node);
}

/** The parent and token of a place, as things are at this moment. */
function seek(root, pointer) {
  const path = ['0', ...tokens(pointer)];
  const token = path.pop();
  let parent = root;
  for (const one of path) {
    const held = kids(parent);
    parent = Array.isArray(held) ? held[Number(one)] : held?.get(one);
    if (!parent) return undefined;
  }
  return kids(parent) && { parent, token };
}

/** The children of a node, made when first asked for, with the pointers they have in the end. */
function kids(node) {
  const { value, pointer } = node;
  if (node.kids || value === null || typeof value !== 'object') return node.kids;
  const child = ([token, inner]) => ({ value: inner, pointer: below(pointer, token) });
  node.kids = Array.isArray(value)
    ? value.map((inner, at) => child([at, inner]))
    : new Map(Object.entries(value).map((entry) => [entry[0], child(entry)]));
  return node.kids;
}

function take({ parent: { kids }, token }) {
  if (Array.isArray(kids)) return token === '-' ? kids.pop() : kids.splice(Number(token), 1)[0];
  const node = kids.get(token);
  kids.delete(token);
  return node;
}

function put({ parent: { kids }, token }, node) {
  if (Array.isArray(kids)) kids.splice(token === '-' ? kids.length : Number(token), 0, node);
  else kids.set(token, node);
}

function swap({ parent: { kids }, token }, node) {
  const old = Array.isArray(kids) ? kids[Number(token)] : kids.get(token);
  if (Array.isArray(kids)) kids[Number(token)] = node;
  else kids.set(token, node);
  return old;
}

/**
 * The document that `operations` make of `document`, and what stood at each one's place before.
 * Throws if they are not for this document.
 */
export function follow(document, operations) {
  const before = [];
  let made = document;
  for (const operation of operations) {
    before.push(read(made, operation.path));
    made = patch(made, [operation]);
  }
  return { document: made, before };
}

const read = (document, pointer) => tokens(pointer).reduce((node, token) =>
  (node !== null && typeof node === 'object' && Object.hasOwn(node, token) ? node[token] : undefined), document);

/** Remembers the documents of a topic while it is looked at, so that "before" is known. */
export class Memory {
  #documents = new Map(); // by event id
  #befores = new Map(); //   what each event's operations found, by event id

  /** Takes what is known now; `events` are newest first and lead to `document`. */
  learn(document, events) {
    if (!events.length) return;
    const known = events.findIndex(({ id }) => this.#documents.has(id));
    for (let at = known - 1; known > 0 && at >= 0; at -= 1) {
      const before = this.#documents.get(events[at + 1].id);
      const operations = events[at].forms?.patch?.data;
      if (before === undefined || !operations) continue;
      try {
        const made = follow(before, operations);
        this.#befores.set(events[at].id, made.before);
        this.#documents.set(events[at].id, made.document);
      } catch { /* it is then not known what was before */ }
    }
    this.#documents.set(events[0].id, document);
    for (const map of [this.#documents, this.#befores]) {
      for (const id of map.keys()) if (!events.some((event) => event.id === id)) map.delete(id);
    }
  }

  /** What stood where the operation of the event has worked; undefined if nobody knows. */
  before(id, op) {
    return this.#befores.get(id)?.[op];
  }
}
