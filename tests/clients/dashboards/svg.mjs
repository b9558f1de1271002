// Elements of an SVG image, as text.

const escaped = (text) =>
  String(text).replace(/[&<>"]/g, (mark) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[mark]);
const short = (value) => (typeof value === 'number' ? Math.round(value * 10) / 10 : value);

export function element(name, attributes, ...children) {
  const written = Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}="${escaped(short(value))}"`)
    .join('');
  return children.length ? `<${name}${written}>${children.flat().join('')}</${name}>` : `<${name}${written}/>`;
}

export const rect = (x, y, width, height, attributes = {}) =>
  element('rect', { x, y, width: Math.max(0, width), height: Math.max(0, height), ...attributes });

export const line = (x1, y1, x2, y2, attributes = {}) => element('path', { d: `M${short(x1)} ${short(y1)}L${short(x2)} ${short(y2)}`, ...attributes });

/** Text that is cut where it would be wider than `width`. */
export function text(x, y, content, { width, size = 12, ...attributes } = {}) {
  return element('text', { x, y, 'font-size': size === 12 ? undefined : size, ...attributes }, escaped(cut(String(content), width, size)));
}

function cut(content, width, size) {
  if (width === undefined || widthOf(content, size) <= width) return content;
  let kept = content;
  while (kept && widthOf(`${kept}…`, size) > width) kept = kept.slice(0, -1);
  return `${kept}…`;
}

/** About how wide a text is. */
export const widthOf = (content, size = 12) => String(content).length * size * 0.57;

/** A path through points, without those that lie on a straight line between their neighbours. */
export function path(points) {
  const kept = points.filter(([x, y], index) => {
    const [before, after] = [points[index - 1], points[index + 1]];
    if (!before || !after) return true;
    const between = before[1] + ((after[1] - before[1]) * (x - before[0])) / (after[0] - before[0]);
    return Math.abs(between - y) > 0.1;
  });
  return kept.map(([x, y], index) => `${index ? 'L' : 'M'}${short(x)} ${short(y)}`).join('');
}
