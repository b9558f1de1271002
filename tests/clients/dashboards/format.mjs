// Numbers as Grafana writes them by a panel's unit, and its colours by name.

const COLOURS = {
  green: '#56a64b', 'super-light-blue': '#8ab8ff', blue: '#3274d9', orange: '#e8820c', red: '#d9384a',
  yellow: '#c9a20b', purple: '#9a5cc2', transparent: 'none', text: 'var(--text)',
};
const PALETTE = ['#56a64b', '#c9a20b', '#3274d9', '#e8820c', '#d9384a', '#9a5cc2', '#1aa3a3', '#a06a42', '#7a9a2f',
  '#c2559d', '#5c6bc0', '#6b7f8c'];

export const colour = (name) => COLOURS[name] ?? name;
export const paletteColour = (index) => PALETTE[index % PALETTE.length];

/** The colour that thresholds give to a number. */
export function thresholdColour(thresholds, number) {
  const reached = thresholds.steps.filter(({ value }) => value === null || value <= number);
  return colour((reached.at(-1) ?? thresholds.steps[0]).color);
}

/** What value mappings make of a number: `{ text, color }`, or nothing. */
export const mapped = (mappings, number) =>
  mappings?.map(({ options }) => options[String(number)]).find(Boolean);

const SI = ['', 'K', 'M', 'G', 'T'];
const SMALL_SI = ['', 'k', 'M', 'G', 'T'];
const IEC = ['', 'Ki', 'Mi', 'Gi', 'Ti'];

/** A number with its unit. */
export function format(number, unit = 'none', decimals) {
  if (number === undefined || !Number.isFinite(number)) return '';
  switch (unit) {
    case 's': return seconds(number, decimals);
    case 'bytes': return scaled(number, 1024, IEC, ' ', 'B', decimals);
    case 'Bps': return scaled(number, 1000, SMALL_SI, ' ', 'B/s', decimals);
    case 'reqps': return `${scaled(number, 1000, SI, ' ', '', decimals)} req/s`;
    case 'ops': return `${scaled(number, 1000, SI, ' ', '', decimals)} ops/s`;
    case 'percentunit': return `${rounded(number * 100, decimals)}%`;
    case 'dateTimeAsIso': return new Date(number).toISOString().slice(0, 16).replace('T', ' ');
    default: return scaled(number, 1000, SI, ' ', '', decimals);
  }
}

function seconds(number, decimals) {
  const size = Math.abs(number);
  if (size === 0) return '0 s';
  if (size < 1e-3) return `${rounded(number * 1e6, decimals)} µs`;
  if (size < 1) return `${rounded(number * 1e3, decimals)} ms`;
  if (size < 60) return `${rounded(number, decimals)} s`;
  if (size < 3600) return `${rounded(number / 60, decimals)} min`;
  if (size < 86400) return `${rounded(number / 3600, decimals)} hours`;
  return `${rounded(number / 86400, decimals)} days`;
}

function scaled(number, base, prefixes, space, suffix, decimals) {
  let power = 0;
  while (Math.abs(number) >= base && power < prefixes.length - 1) {
    number /= base;
    power += 1;
  }
  const unit = prefixes[power] + suffix;
  return unit ? `${rounded(number, decimals)}${space}${unit}` : rounded(number, decimals);
}

/** About three digits. */
function rounded(number, decimals) {
  const size = Math.abs(number);
  const digits = decimals ?? (size >= 100 || Number.isInteger(number) ? 0 : size >= 10 ? 1 : 2);
  return String(Number(number.toFixed(digits)));
}

/** Round values from about `least` to `most`, so many at most. */
export function ticks(least, most, count, unit) {
  const base = unit === 'bytes' ? 1024 : 1000;
  const rough = (most - least) / count || 1;
  let scale = 1;
  if (base === 1024) while (scale * 1024 <= rough) scale *= 1024;
  const power = 10 ** Math.floor(Math.log10(rough / scale));
  const step = [1, 2, 5, 10].map((factor) => factor * power * scale).find((step) => step >= rough);
  const first = Math.ceil(least / step - 1e-9);
  const last = Math.floor(most / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, index) => (first + index) * step);
}

/** Moments to write below a plot of this width: `[{ time, label }]`, in UTC. */
export function clock({ start, end }, width) {
  const step = [10, 30, 60, 120, 300, 600].find((step) => (end - start) / step <= width / 60) ?? 1800;
  const first = Math.ceil(start / step) * step;
  return Array.from({ length: Math.floor((end - first) / step) + 1 }, (_, index) => {
    const time = first + index * step;
    return { time, label: new Date(time * 1000).toISOString().slice(11, step < 60 ? 19 : 16) };
  });
}
