// node render.mjs PROMETHEUS SCRAPE_SECONDS RANGE_SECONDS DASHBOARD…
//
// Draws each dashboard as it would look now, from Prometheus' answers alone, into an SVG image
// beside its file: panels where `gridPos` has them, with their units, thresholds, mappings,
// overrides, legends, and annotations.

import { writeFile } from 'node:fs/promises';

import { Dashboard, Prometheus, Range } from './dashboard.mjs';
import { colour } from './format.mjs';
import { stat, states, table } from './panels.mjs';
import { element, rect, text } from './svg.mjs';
import { timeseries } from './timeseries.mjs';

const WIDTH = 1200;
const COLUMN = WIDTH / 24;
const ROW = 36;
const GAP = 8;
const HEAD = 44;
const STYLE = `
svg { --back: #f4f5f5; --card: #fff; --edge: #e2e3e6; --text: #24292e; --dim: #6a7078; --grid: #ececef;
  font: 12px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: var(--text) }
@media (prefers-color-scheme: dark) {
  svg { --back: #111217; --card: #181b1f; --edge: #2a2d33; --text: #d5d6dc; --dim: #8f949e; --grid: #26292e }
}
.back { fill: var(--back) } .card { fill: var(--card); stroke: var(--edge) } .dim { fill: var(--dim) }
.grid { stroke: var(--grid); fill: none } .line { fill: none; stroke-width: 1.3; stroke-linejoin: round }
.empty { fill: var(--dim) }`.trim();

const [url, scrape, seconds, ...files] = process.argv.slice(2);
const prometheus = new Prometheus(url);
const end = Math.floor(Date.now() / 1000);
const step = Math.max(Number(scrape), Math.ceil(seconds / 75));
const range = new Range({ start: end - seconds, end, step, scrape: Number(scrape) });

for (const file of files) {
  await writeFile(file.replace(/\.json$/, '.svg'), await drawn(await Dashboard.read(file)));
}

async function drawn(dashboard) {
  const marks = await annotations(dashboard);
  const parts = [];
  for (const panel of dashboard.json.panels) parts.push(...(await card(dashboard, panel, marks)));
  const rows = Math.max(...dashboard.json.panels.map(({ gridPos: { y, h } }) => y + h));
  const height = HEAD + rows * ROW + GAP;
  const clock = (time) => new Date(time * 1000).toISOString().slice(0, 16).replace('T', ' ');
  return element('svg', {
    xmlns: 'http://www.w3.org/2000/svg', width: WIDTH, height, viewBox: `0 0 ${WIDTH} ${height}`, role: 'img',
    'aria-label': `${dashboard.title}: ${dashboard.json.description}`,
  },
  element('style', {}, STYLE),
  rect(0, 0, WIDTH, height, { class: 'back' }),
  text(GAP + 4, 28, dashboard.title, { size: 18, 'font-weight': 600 }),
  text(WIDTH - GAP - 4, 27, `${clock(range.start)} to ${clock(range.end).slice(11)} UTC`, { class: 'dim', 'text-anchor': 'end' }),
  parts.join('\n')) + '\n';
}

/** A panel with its frame and title. */
async function card(dashboard, panel, marks) {
  const { x, y, w, h } = panel.gridPos;
  const box = { x: x * COLUMN + GAP / 2, y: HEAD + y * ROW, width: w * COLUMN - GAP, height: h * ROW - GAP };
  if (panel.type === 'row') return [text(box.x + 6, box.y + 20, panel.title, { size: 14, 'font-weight': 600 })];
  const answers = await Promise.all(panel.targets.map(({ expr, instant }) =>
    prometheus.query(dashboard.fill(expr, range), range, instant)));
  const series = answers.flatMap((found, index) => found.map((one) => named(one, panel.targets[index])));
  if (panel.type === 'stat') return stat(panel, box, series, range);

  const inner = { x: box.x, y: box.y + 30, width: box.width, height: box.height - 34 };
  const frame = [
    rect(box.x, box.y, box.width, box.height, { class: 'card', rx: 4 }),
    text(box.x + 10, box.y + 20, panel.title, { 'font-weight': 600, size: 13, width: box.width - 20 }),
  ];
  if (!series.length) {
    const words = panel.fieldConfig.defaults.noValue ?? 'no data';
    return [...frame, text(box.x + box.width / 2, box.y + box.height / 2, words, { class: 'empty', 'text-anchor': 'middle' })];
  }
  switch (panel.type) {
    case 'timeseries': return [...frame, ...timeseries(panel, inner, series, range, marks)];
    case 'state-timeline': return [...frame, ...states(panel, inner, series, range)];
    case 'table': return [...frame, ...table(panel, inner, answers)];
    default: throw new Error(`${panel.title}: ${panel.type} cannot be drawn`);
  }
}

function named({ labels, points }, { legendFormat = '' }) {
  const name = legendFormat.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => labels[label] ?? '');
  return { name, labels, points };
}

/** Moments and stretches of time that annotations mark. */
async function annotations(dashboard) {
  const marks = [];
  for (const { expr, iconColor, useValueForTime } of dashboard.annotations()) {
    for (const { points } of await prometheus.query(dashboard.fill(expr, range), range)) {
      let last;
      for (const [time, value] of points) {
        const from = useValueForTime ? value / 1000 : time;
        const to = useValueForTime ? from : time + range.step;
        if (last && from - last.to < 1) last.to = to;
        else marks.push((last = { from, to, colour: colour(iconColor) }));
      }
    }
  }
  return marks;
}
