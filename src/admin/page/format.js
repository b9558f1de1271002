// Sizes, counts and times in words. Times are the server's: the difference between its clock and
// the browser's is taken from the `Date` of an answer.

import { h } from './dom.js';

let ahead = 0; // milliseconds that the server's clock is ahead of ours

/** Asks the server for its time, which is told in whole seconds. */
export async function setClock() {
  const asked = Date.now();
  const answer = await fetch('/healthz', { method: 'HEAD', cache: 'no-store' });
  const told = Date.parse(answer.headers.get('date') ?? '');
  if (Number.isNaN(told)) return;
  const difference = told + 500 - (asked + Date.now()) / 2;
  ahead = Math.abs(difference) < 1500 ? 0 : difference;
}

export const now = () => Date.now() + ahead;

export function count(n) {
  if (n == null) return '–';
  if (n < 1e6) return Math.round(n).toLocaleString('en');
  const [by, unit] = n < 1e9 ? [1e6, 'M'] : [1e9, 'G'];
  return `${round(n / by)}\u00a0${unit}`;
}

/** "1 feed", "2 feeds". */
export const several = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

/** "Both feeds", "All 7 feeds". */
export const all = (n, many) => `${n === 2 ? 'Both' : `All ${count(n)}`} ${many}`;

export function size(bytes) {
  if (bytes == null) return '–';
  if (bytes < 1000) return `${bytes}\u00a0B`;
  const units = ['kB', 'MB', 'GB', 'TB', 'PB'];
  let [value, unit] = [bytes / 1000, 0];
  while (value >= 999.5 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${round(value)}\u00a0${units[unit]}`;
}

const round = (value) => value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0);

/** A length of time in its largest unit that says enough. */
export function span(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 1) return `${Math.round(seconds * 1000)}\u00a0ms`;
  if (seconds < 10 && ms % 1000 !== 0) return `${seconds.toFixed(1)}\u00a0s`;
  return whole(seconds);
}

function whole(seconds) {
  if (seconds < 120) return `${Math.floor(seconds)}\u00a0s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}\u00a0min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)}\u00a0h`;
  return `${Math.floor(seconds / 86400)}\u00a0d`;
}

const WORDS = {
  age: (ms) => whole(Math.max(0, -ms) / 1000),
  ago: (ms) => (ms > -1000 ? 'just now' : `${whole(-ms / 1000)} ago`),
  due: (ms) => (ms <= 0 ? 'now' : `in ${whole(ms / 1000 + 0.999)}`),
};

const exact = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
const clock = new Intl.DateTimeFormat(undefined,
  { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });

/** A time that goes on by itself: its `age`, how long `ago`, or in how long it is `due`. */
export function moving(time, words, none = '–') {
  if (!time) return none;
  return h('time', { datetime: time, title: exact.format(new Date(time)), 'data-words': words },
    WORDS[words](Date.parse(time) - now()));
}

/** The time of day, of today; the date as well of another day. */
export function at(time) {
  const date = new Date(time);
  const isToday = Math.abs(date - now()) < 12 * 3600e3;
  return h('time', { datetime: time, title: exact.format(date) }, (isToday ? clock : exact).format(date));
}

/** A sentence of the server's: what stands between backticks is code, times are those of here. */
export function prose(text) {
  return text.split(/(`[^`]+`|\d{4}-\d\d-\d\dT[\d:.]+Z)/).map((part) => {
    if (part.startsWith('`')) return h('code', null, part.slice(1, -1));
    return /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(part) ? at(part) : part;
  });
}

/** Lets every moving time go on. */
export function tick() {
  for (const time of document.querySelectorAll('time[data-words]')) {
    const text = WORDS[time.dataset.words](Date.parse(time.dateTime) - now());
    if (time.firstChild && time.firstChild.data !== text) time.firstChild.data = text;
  }
}
