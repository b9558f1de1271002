// Panels that are not lines over time: stat, state-timeline, table.

import { clock, colour, format, mapped, thresholdColour } from './format.mjs';
import { line, path, rect, text, widthOf } from './svg.mjs';

const GREY = '#8e8e8e';

/** One number on its colour, with its course below. */
export function stat(panel, box, series, range) {
  const { defaults } = panel.fieldConfig;
  const points = (series[0]?.points ?? []).filter(([, value]) => Number.isFinite(value));
  const value = points.at(-1)?.[1];
  const mapping = mapped(defaults.mappings, value);
  const fill = value === undefined ? GREY
    : colour(mapping?.color ?? thresholdColour(defaults.thresholds, value));
  const words = value === undefined ? defaults.noValue ?? 'no data'
    : mapping?.text ?? format(value, defaults.unit, defaults.decimals);
  const size = Math.min(32, (box.width - 20) / (words.length * 0.62));
  const parts = [rect(box.x, box.y, box.width, box.height, { fill, rx: 4 })];
  const numbers = points.map(([, value]) => value);
  if (panel.options.graphMode === 'area' && Math.max(...numbers) > Math.min(...numbers)) {
    const [least, most] = [Math.min(0, ...numbers), Math.max(...numbers)];
    const height = box.height * 0.3;
    const at = points.map(([time, value]) => [
      box.x + ((time - range.start) / (range.end - range.start)) * box.width,
      box.y + box.height - ((value - least) / (most - least)) * height,
    ]);
    const d = path(at);
    const bottom = box.y + box.height;
    parts.push(`<path d="${d}L${at.at(-1)[0].toFixed(1)} ${bottom}L${at[0][0].toFixed(1)} ${bottom}Z" fill="#fff" opacity=".18"/>`);
    parts.push(`<path d="${d}" class="line" stroke="#fff" opacity=".55"/>`);
  }
  parts.push(text(box.x + 10, box.y + 20, panel.title, { fill: '#fff', width: box.width - 16 }));
  parts.push(text(box.x + box.width / 2, box.y + box.height * 0.5 + size * 0.5, words, {
    size, fill: '#fff', 'text-anchor': 'middle', 'font-weight': 600,
  }));
  return parts;
}

/** A bar for each series, coloured by its state. */
export function states(panel, box, series, range) {
  const { mappings } = panel.fieldConfig.defaults;
  const names = series.map(({ name }) => name);
  const left = Math.min(box.width * 0.4, Math.max(60, ...names.map((name) => widthOf(name, 11) + 16)));
  const [from, width] = [box.x + left, box.width - left - 10];
  const step = (box.height - 46) / Math.max(1, series.length);
  const toX = (time) => from + ((time - range.start) / (range.end - range.start)) * width;
  const parts = [];
  for (const [row, { name, points }] of series.entries()) {
    const y = box.y + 6 + row * step;
    const height = step * panel.options.rowHeight;
    parts.push(text(from - 8, y + height / 2 + 4, name, { size: 11, 'text-anchor': 'end', width: left - 12 }));
    for (const { start, end, value } of runs(points, range.step)) {
      const state = mapped(mappings, value);
      const [x, length] = [toX(start), toX(Math.min(end, range.end)) - toX(start)];
      parts.push(rect(x, y, length, height, { fill: colour(state?.color ?? GREY), opacity: 0.85 }));
      const words = state?.text ?? String(value);
      if (length > widthOf(words, 11) + 10 && height > 12) {
        parts.push(text(x + 6, y + height / 2 + 4, words, { size: 11, fill: '#fff' }));
      }
    }
  }
  for (const { time, label } of clock(range, width)) {
    const anchor = toX(time) > from + width - 15 ? 'end' : 'middle';
    parts.push(text(toX(time), box.y + box.height - 24, label, { size: 11, class: 'dim', 'text-anchor': anchor }));
  }
  let x = box.x + 8;
  for (const { text: words, color } of mappings.flatMap(({ options }) => Object.values(options))) {
    const y = box.y + box.height - 9;
    parts.push(line(x, y, x + 13, y, { stroke: colour(color), 'stroke-width': 3 }), text(x + 18, y + 4, words, { size: 11 }));
    x += widthOf(words, 11) + 34;
  }
  return parts;
}

/** Stretches of time with the same value. */
function runs(points, step) {
  const all = [];
  for (const [time, value] of points) {
    const last = all.at(-1);
    if (last && last.value === value && time - last.end < step * 0.5) last.end = time + step;
    else all.push({ start: time, end: time + step, value });
  }
  return all;
}

/** Instant queries side by side, as `merge` and `organize` make them. */
export function table(panel, box, answers) {
  const organize = panel.transformations.find(({ id }) => id === 'organize').options;
  const columns = Object.entries(organize.renameByName)
    .sort(([one], [other]) => organize.indexByName[one] - organize.indexByName[other])
    .map(([source, name]) => ({ source, name, ...styled(panel, name) }));
  const rows = merged(panel, answers);
  const { displayName, desc } = panel.options.sortBy[0];
  const by = columns.find(({ name }) => name === displayName).source;
  rows.sort((one, other) => ((one[by] ?? -1) - (other[by] ?? -1)) * (desc ? -1 : 1));

  const known = columns.reduce((sum, { width }) => sum + (width ?? 0), 0);
  const share = (box.width - 16 - known) / columns.filter(({ width }) => !width).length;
  const parts = [];
  let x = box.x + 8;
  for (const column of columns) {
    const width = column.width ?? share;
    parts.push(text(x + 6, box.y + 18, column.name, { size: 11, class: 'dim', width: width - 8 }));
    for (const [row, values] of rows.entries()) {
      const [top, value] = [box.y + 26 + row * 27, values[column.source]];
      if (x === box.x + 8) parts.push(line(x, top, box.x + box.width - 8, top, { class: 'grid' }));
      parts.push(cell(column, value, x, top, width));
    }
    x += width;
  }
  return parts;
}

function cell(column, value, x, top, width) {
  if (value === undefined) return '';
  const state = mapped(column.mappings, value);
  const words = state?.text ?? (typeof value === 'number' ? format(value, column.unit, column.decimals) : value);
  const type = column.cellOptions?.type;
  const own = state?.color ? colour(state.color)
    : column.thresholds && typeof value === 'number' ? thresholdColour(column.thresholds, value) : undefined;
  const behind = type === 'color-background' && own ? rect(x, top + 2, width - 4, 23, { fill: own, rx: 3 }) : '';
  const fill = behind ? '#fff' : type === 'color-text' ? own : undefined;
  return behind + text(x + 6, top + 18, words, { width: width - 10, fill });
}

function styled(panel, name) {
  const style = {};
  for (const { matcher, properties } of panel.fieldConfig.overrides) {
    if (matcher.options !== name) continue;
    for (const { id, value } of properties) style[id.replace('custom.', '')] = value;
  }
  return style;
}

/** Rows whose common labels agree are one row. */
function merged(panel, answers) {
  const rows = [];
  for (const [index, { refId }] of panel.targets.entries()) {
    for (const { labels, points } of answers[index]) {
      const row = rows.find((row) => Object.entries(labels).every(([key, value]) => (row[key] ?? value) === value));
      const target = row ?? {};
      if (!row) rows.push(target);
      Object.assign(target, labels, { [`Value #${refId}`]: points[0][1] });
    }
  }
  return rows;
}
