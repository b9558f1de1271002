// Views are functions from what is known to a description of elements; `render` makes the page so
// and leaves every element that stays alone: focus, scrolling and what is open are kept. Text is
// only ever text: nothing here, or in any view, reads markup from a string.

const SVG = 'http://www.w3.org/2000/svg';
const SHAPES = new Set(['svg', 'use', 'rect', 'path', 'circle', 'line', 'g', 'title']);
const PROPERTIES = new Set(['open', 'value', 'checked', 'disabled', 'hidden']);
const made = new WeakMap(); // element -> the description it was last made from

/** An element to be: its name, attributes (`on…` are listeners, `key` identifies it), children. */
export function h(tag, attributes, ...children) {
  const { key, ...rest } = attributes ?? {};
  const kept = children.flat(Infinity).filter((child) => child != null && child !== false && child !== '');
  return { tag, key, attributes: rest, children: kept };
}

/** Makes the children of `host` those described. */
export function render(host, ...children) {
  const focused = document.activeElement;
  arrange(host, h('', null, ...children).children);
  // An element that had to move has lost its focus on the way.
  if (focused !== document.activeElement && focused?.isConnected) focused.focus({ preventScroll: true });
}

function arrange(parent, wanted) {
  const keyed = new Map();
  const loose = [];
  for (const node of parent.childNodes) {
    const key = made.get(node)?.key;
    if (key === undefined) loose.push(node);
    else keyed.set(key, node);
  }
  const nodes = wanted.map((one) => {
    const old = one.key === undefined ? loose.shift() : keyed.get(one.key);
    return fits(old, one) ? refresh(old, one) : create(one);
  });
  const staying = new Set(nodes);
  for (const node of [...parent.childNodes]) if (!staying.has(node)) node.remove();
  let place = parent.firstChild;
  for (const node of nodes) {
    if (node === place) place = place.nextSibling;
    else parent.insertBefore(node, place);
  }
}

function fits(node, one) {
  if (node === undefined) return false;
  return one.tag === undefined ? node.nodeType === Node.TEXT_NODE : made.get(node)?.tag === one.tag;
}

function create(one) {
  if (one.tag === undefined) return document.createTextNode(one);
  const node = SHAPES.has(one.tag)
    ? document.createElementNS(SVG, one.tag) : document.createElement(one.tag);
  return refresh(node, one);
}

function refresh(node, one) {
  if (one.tag === undefined) {
    const text = String(one);
    if (node.data !== text) node.data = text;
    return node;
  }
  const before = made.get(node)?.attributes ?? {};
  for (const name of Object.keys(before)) if (!(name in one.attributes)) assign(node, name, undefined);
  for (const [name, value] of Object.entries(one.attributes)) {
    if (before[name] !== value) assign(node, name, value);
  }
  made.set(node, one);
  arrange(node, one.children);
  return node;
}

function assign(node, name, value) {
  if (name.startsWith('on')) node[name] = value ?? null;
  else if (PROPERTIES.has(name)) node[name] = value ?? (name === 'value' ? '' : false);
  else if (value === undefined || value === null || value === false) node.removeAttribute(name);
  else node.setAttribute(name, value === true ? '' : value);
}

/** One of the shapes of `index.html`; what it means stands beside it in words. */
export function icon(name) {
  return h('svg', { class: `icon ${name}`, 'aria-hidden': 'true', focusable: 'false' },
    h('use', { href: `#${name}` }));
}

/** Words for those who do not see the page. */
export function aside(...text) {
  return h('span', { class: 'hidden' }, ...text);
}
