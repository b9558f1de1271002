// The configuration in force, as the server tells it: secrets are hidden before they get here.

import { aside, h } from './dom.js';
import { count } from './format.js';

/** Asks once for the configuration. */
export class ConfigurationView {
  #answer;
  #problem = '';

  constructor(onChange) {
    fetch('/api/config')
      .then(async (answer) => {
        if (!answer.ok) throw new Error((await answer.text()).trim());
        this.#answer = await answer.json();
      })
      .catch((error) => { this.#problem = `The configuration cannot be shown: ${error.message}`; })
      .finally(onChange);
  }

  view() {
    const answer = this.#answer;
    return [
      h('div', { class: 'intro' },
        h('h1', null, 'Configuration in force'),
        h('p', { class: 'quiet' }, answer && (answer.file ? ['Read from ', h('code', { dir: 'auto' }, answer.file), ', with every default.'] : 'From the command line, with every default.'),
          answer && ' Secrets are hidden.')),
      this.#problem && h('p', { class: 'reason down', role: 'status' }, this.#problem),
      answer && Object.entries(answer.config).map(([name, value]) => section(name, value)),
    ];
  }
}

const FEW = 3; // entries that are shown open

/** A part of the configuration; of lists with names, such as feeds, each entry can be opened. */
function section(name, value) {
  const entries = named(value);
  return h('section', { key: name, class: 'panel yaml', 'aria-label': name },
    h('h2', null, name, entries && h('small', null, ` ${count(entries.length)}`)),
    entries
      ? entries.map(([title, entry], at) => h('details', { key: `${at} ${title}`, open: entries.length <= FEW },
        h('summary', null, h('code', { dir: 'auto' }, title)), text(title, entry)))
      : text(name, value));
}

/** The entries of a list or map of things, each with what it is called by. */
function named(value) {
  const isThing = (one) => one !== null && typeof one === 'object' && !Array.isArray(one);
  if (Array.isArray(value)) return value.length > 0 && value.every((one) => isThing(one) && one.path) && value.map((one) => [one.path, one]);
  const entries = Object.entries(value ?? {});
  return entries.length > 0 && entries.every(([, one]) => isThing(one) && Object.hasOwn(one, 'url') + Object.hasOwn(one, 'servers')) && entries;
}

const text = (name, value) =>
  h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': name }, h('pre', null, ...lines(value, 0)));

const isPlain = (value) => value === null || typeof value !== 'object' || Object.keys(value).length === 0;

/** A value as lines of YAML. */
function lines(value, depth) {
  if (isPlain(value)) return [scalar(value), '\n'];
  const indent = '  '.repeat(depth);
  if (Array.isArray(value)) {
    return value.flatMap((one) => {
      const [first, ...rest] = isPlain(one) ? [scalar(one), '\n'] : trimmed(lines(one, depth + 1));
      return [`${indent}- `, first, ...rest];
    });
  }
  return Object.entries(value).flatMap(([name, inner]) => [
    indent, h('span', { class: 'key' }, name), ':',
    ...(isPlain(inner) ? [' ', scalar(inner), '\n'] : ['\n', ...lines(inner, depth + 1)]),
  ]);
}

/** The first line's indentation stands behind the dash already. */
const trimmed = ([first, ...rest]) => [typeof first === 'string' ? first.trimStart() : first, ...rest];

function scalar(value) {
  if (value === '***') return h('span', { class: 'secret' }, '***', aside(' (hidden)'));
  if (typeof value !== 'string') return h('span', { class: 'literal' }, JSON.stringify(value));
  const plain = /^[A-Za-z/][\w ./:@-]*$/.test(value) && !/: |^(true|false|null|yes|no|on|off)$|[ :]$/i.test(value);
  return h('span', { class: 'string' }, plain ? value : JSON.stringify(value));
}
