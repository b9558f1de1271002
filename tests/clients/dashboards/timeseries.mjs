// Panels of the type timeseries: lines and stacks over time, with axes and a legend.

import { clock, colour, format, paletteColour, ticks } from './format.mjs';
import { line, path, rect, text, widthOf } from './svg.mjs';

/** Draws it into `box`: `{ x, y, width, height }`. `marks` are annotations: `{ from, to, colour }`. */
export function timeseries(panel, box, series, range, marks) {
  const { defaults } = panel.fieldConfig;
  const stacked = defaults.custom.stacking.mode === 'normal';
  const drawn = series.map((one, index) => styled(panel, one, index));
  const legend = legendOf(drawn, box);
  const axes = ['left', 'right'].map((side) => drawn.filter((one) => one.side === side));
  const [left, right] = axes.map((group) => axis(group, defaults, stacked));
  const plot = {
    x: box.x + 62,
    y: box.y + 8,
    width: box.width - 70 - (axes[1].length ? 46 : 0),
    height: box.height - 30 - legend.height,
  };
  const toX = (time) => plot.x + ((time - range.start) / (range.end - range.start)) * plot.width;
  const bottom = plot.y + plot.height;
  const parts = [grid(plot, left, right, axes, range, toX), markings(marks, plot, range, toX)];
  for (const [group, scale] of [[axes[0], left], [axes[1], right]]) {
    const toY = (value) => bottom - ((value - scale.least) / (scale.most - scale.least)) * plot.height;
    parts.push(stacked && group === axes[0] ? stack(group, range, toX, toY) : lines(group, range.step, toX, toY));
  }
  if (defaults.custom.thresholdsStyle.mode !== 'off') parts.push(thresholds(defaults, plot, left, bottom));
  return [...parts, ...legend.parts];
}

/** Its name, unit, colour and axis, by the field's configuration and its overrides. */
function styled(panel, { name, points }, index) {
  const one = { name, points, unit: panel.fieldConfig.defaults.unit, colour: paletteColour(index), side: 'left' };
  one.fill = panel.fieldConfig.defaults.custom.fillOpacity / 100;
  for (const { matcher, properties } of panel.fieldConfig.overrides) {
    const hit = matcher.id === 'byName' ? matcher.options === name : new RegExp(`^(?:${matcher.options})$`).test(name);
    for (const { id, value } of hit ? properties : []) {
      if (id === 'color') one.colour = colour(value.fixedColor);
      if (id === 'unit') one.unit = value;
      if (id === 'custom.axisPlacement') one.side = value;
      if (id === 'custom.fillOpacity') one.fill = value / 100;
      if (id === 'custom.lineStyle') one.dash = value.dash.join(' ');
    }
  }
  return one;
}

/** From where to where an axis goes, a little beyond what is there. */
function axis(group, { min, max, thresholds, custom }, stacked) {
  const values = group.flatMap(({ points }) => points.map(([, value]) => value)).filter(Number.isFinite);
  let most = Math.max(...values, -Infinity);
  if (stacked) {
    const sums = new Map();
    for (const { points } of group) {
      for (const [time, value] of points) sums.set(time, (sums.get(time) ?? 0) + value);
    }
    most = Math.max(...sums.values(), -Infinity);
  }
  if (custom.thresholdsStyle.mode !== 'off') most = Math.max(most, 1.15 * thresholds.steps.at(-1).value);
  if (!Number.isFinite(most)) most = 1;
  const least = min ?? Math.min(0, ...values);
  if (most <= least) most = least + 1;
  return { least: least < 0 ? least * 1.1 : least, most: max ?? most + (most - least) * 0.08, unit: group[0]?.unit };
}

function grid(plot, left, right, axes, range, toX) {
  const parts = [];
  const label = { class: 'dim', size: 11 };
  for (const [scale, group, side] of [[left, axes[0], 'left'], [right, axes[1], 'right']]) {
    if (side === 'right' && !group.length) continue;
    for (const value of ticks(scale.least, scale.most, 4, scale.unit)) {
      const y = plot.y + plot.height - ((value - scale.least) / (scale.most - scale.least)) * plot.height;
      if (side === 'left') parts.push(line(plot.x, y, plot.x + plot.width, y, { class: 'grid' }));
      parts.push(side === 'left'
        ? text(plot.x - 6, y + 4, format(value, scale.unit), { ...label, 'text-anchor': 'end' })
        : text(plot.x + plot.width + 5, y + 4, format(value, scale.unit), label));
    }
  }
  for (const { time, label: words } of clock(range, plot.width)) {
    parts.push(line(toX(time), plot.y, toX(time), plot.y + plot.height, { class: 'grid' }));
    const anchor = toX(time) > plot.x + plot.width - 15 ? 'end' : 'middle';
    parts.push(text(toX(time), plot.y + plot.height + 15, words, { ...label, 'text-anchor': anchor }));
  }
  return parts.join('');
}

function markings(marks, plot, range, toX) {
  return marks
    .filter(({ from, to }) => to >= range.start && from <= range.end)
    .map(({ from, to, colour }) => {
      const [left, right] = [toX(Math.max(from, range.start)), toX(Math.min(to, range.end))];
      return right - left < 2
        ? line(left, plot.y, left, plot.y + plot.height, { stroke: colour, 'stroke-dasharray': '3 3' })
        : rect(left, plot.y, right - left, plot.height, { fill: colour, opacity: 0.09 });
    })
    .join('');
}

const finite = (points) => points.filter(([, value]) => Number.isFinite(value));

/** Pieces of a line: it is broken where a point is missing. */
function pieces(points, step) {
  const all = [];
  for (const point of finite(points)) {
    const last = all.at(-1)?.at(-1);
    if (last && point[0] - last[0] <= step * 1.5) all.at(-1).push(point);
    else all.push([point]);
  }
  return all;
}

function lines(group, step, toX, toY) {
  return group.flatMap(({ points, colour, fill, dash }) => pieces(points, step).map((piece) => {
    const at = piece.map(([time, value]) => [toX(time), toY(value)]);
    if (at.length === 1) return rect(at[0][0] - 1, at[0][1] - 1, 2, 2, { fill: colour });
    const d = path(at);
    const area = fill > 0 && `${d}L${at.at(-1)[0].toFixed(1)} ${toY(0).toFixed(1)}L${at[0][0].toFixed(1)} ${toY(0).toFixed(1)}Z`;
    return (area ? `<path d="${area}" fill="${colour}" opacity="${fill}"/>` : '') +
      `<path d="${d}" class="line" stroke="${colour}"${dash ? ` stroke-dasharray="${dash}"` : ''}/>`;
  })).join('');
}

/** One upon the other; where a series has no point, it adds nothing. */
function stack(group, range, toX, toY) {
  const times = [];
  for (let time = range.start; time <= range.end; time += range.step) times.push(time);
  let below = new Map(times.map((time) => [time, 0]));
  return group.map(({ points, colour }) => {
    const own = new Map(finite(points));
    const above = new Map(times.map((time) => [time, below.get(time) + (own.get(time) ?? 0)]));
    const top = times.map((time) => [toX(time), toY(above.get(time))]);
    const base = times.map((time) => [toX(time), toY(below.get(time))]).reverse();
    below = above;
    return `<path d="${path(top)}${path(base).replace('M', 'L')}Z" fill="${colour}" opacity=".6"/>` +
      `<path d="${path(top)}" class="line" stroke="${colour}"/>`;
  }).join('');
}

function thresholds({ thresholds }, plot, scale, bottom) {
  return thresholds.steps.filter(({ value }) => value !== null).map(({ value, color }) => {
    const y = bottom - ((value - scale.least) / (scale.most - scale.least)) * plot.height;
    return line(plot.x, y, plot.x + plot.width, y, { stroke: colour(color), 'stroke-dasharray': '6 4' });
  }).join('');
}

/** Names in lines below the plot, as many as there is room for. */
function legendOf(drawn, box) {
  const rows = [[]];
  let [x, left] = [8, 0];
  for (const one of drawn) {
    const width = Math.min(widthOf(one.name, 11) + 34, box.width - 16);
    if (x + width > box.width - 8 && rows.at(-1).length) {
      if (rows.length === 3) { left += 1; continue; }
      rows.push([]);
      x = 8;
    }
    rows.at(-1).push({ ...one, x, width });
    x += width;
  }
  const height = 17 * rows.length;
  const top = box.y + box.height - height;
  const parts = rows.flatMap((row, index) => row.map(({ x, width, name, colour }) => {
    const y = top + 17 * index + 8;
    return line(box.x + x, y, box.x + x + 13, y, { stroke: colour, 'stroke-width': 3 }) +
      text(box.x + x + 18, y + 4, name, { size: 11, width: width - 24 });
  }));
  if (left) parts.push(text(box.x + box.width - 8, top + 17 * 2 + 12, `and ${left} more`, { size: 11, class: 'dim', 'text-anchor': 'end' }));
  return { height, parts };
}
