// One live document: its state, when it is polled next and why, what the polls of late brought,
// the document with the latest patch marked, and how to listen to it.

import { events, polls } from './changes.js';
import { h } from './dom.js';
import { at, count, moving, prose, size } from './format.js';
import { age, badge, modes, plan } from './parts.js';
import { marks, Memory } from './patches.js';
import { Opened, tree } from './tree.js';

const OMITTED = {
  too_large: 'The document is too large to be shown here; its subscribers get it nevertheless.',
  private: 'This document is private: it is shown to nobody but its subscribers.',
  none: 'There is no document yet.',
};

/** What somebody does with a topic's view, kept while the view is open. */
export class TopicView {
  memory = new Memory();
  beat = 0; // goes up with each event
  poked = '';
  isGone = false; // nobody listens to it any more, so that it has ended
  #marked; // { event, document, found }

  constructor(onChange, opened = new Opened(onChange)) {
    this.onChange = onChange;
    this.opened = opened;
  }

  /** Takes a new state of the topic. */
  learn({ document, document_omitted: omitted, events }) {
    const [newest] = events;
    if (this.#marked?.document === document && this.#marked.event === newest?.id) return;
    if (this.#marked?.event !== newest?.id) this.beat += 1;
    const patch = newest?.forms?.patch?.data;
    const found = !omitted && patch ? marks(document, patch) : { marks: new Map(), gone: new Map() };
    this.#marked = { document, event: newest?.id, found };
    if (!omitted) this.memory.learn(document, events);
  }

  /** Has it polled now. */
  async poke(path) {
    this.say('Asking…');
    try {
      const answer = await fetch(`/api/poll?path=${encodeURIComponent(path)}`, { method: 'POST' });
      if (!answer.ok) return this.say(`Not polled: ${(await answer.text()).trim()}`);
      const { polled, why } = await answer.json();
      this.say(polled ? 'A poll is on its way.' : `Not polled: ${why}.`);
    } catch {
      this.say('Not polled: pollcast does not answer.');
    }
  }

  say(text) {
    this.poked = text;
    this.onChange();
  }

  view(topic, feed, status) {
    const notable = { ...feed, ...topic };
    return [
      this.#head(topic, feed),
      this.isGone && h('p', { class: 'panel why failing' }, 'This topic is gone: nobody listens to it any more. This is what was known of it last.'),
      facts(notable),
      topic.quiet && h('p', { class: `panel why ${topic.quiet.reason}`, dir: 'auto' },
        h('b', null, 'Why nothing was sent lately: '), ...prose(topic.quiet.text)),
      h('div', { class: 'columns' },
        h('div', { class: 'column' }, this.#document(topic), listen(topic, status)),
        h('div', { class: 'column' }, polls(topic.polls), findings(notable),
          events(topic.events, (id, op) => this.memory.before(id, op)))),
    ];
  }

  #head({ path, state, reason, since }, feed) {
    return h('div', { class: 'intro topic-head' },
      h('nav', { class: 'crumbs', 'aria-label': 'Where this is' }, h('a', { href: '/' }, 'Feeds'),
        feed.parameters && [' / ', h('a', { href: `/?feed=${encodeURIComponent(feed.path)}`, dir: 'auto' }, feed.path)]),
      h('h1', { dir: 'auto' }, path),
      h('p', null, badge(state), h('span', { class: 'quiet' }, ' since ', at(since), ', ', moving(since, 'ago'),
        ', from ', feed.upstream)),
      reason && h('p', { class: `reason ${state}`, dir: 'auto' }, reason),
      h('p', { class: 'actions' },
        h('button', { type: 'button', onclick: () => this.poke(path) }, 'Poll now'),
        h('span', { role: 'status', class: 'quiet' }, this.poked)));
  }

  #document({ document, document_omitted: omitted, events }) {
    const [newest] = events;
    const isWhole = newest && !newest.forms?.patch;
    return h('section', { class: 'panel document', 'aria-labelledby': 'document-title' },
      h('div', { class: 'bar' }, h('h2', { id: 'document-title' }, 'Document'),
        !omitted && [
          h('button', { type: 'button', onclick: () => this.opened.all(true) }, 'Open all'),
          h('button', { type: 'button', onclick: () => this.opened.all(false) }, 'Close all'),
        ]),
      omitted
        ? h('p', { class: 'waiting' }, OMITTED[omitted] ?? omitted)
        : [newest && h('p', { class: 'legend' }, isWhole ? 'The latest change was sent as a whole' : 'Marked is the latest change',
          ', ', moving(newest.at, 'ago'), '.'),
        tree(document, {
          found: this.#marked.found, before: (op) => this.memory.before(newest.id, op),
          beat: this.beat, opened: this.opened, label: 'Document',
        })]);
  }
}

function facts(topic) {
  const { subscribers } = topic;
  const listening = typeof subscribers === 'number' ? { total: subscribers } : subscribers;
  const fact = (name, ...value) => h('div', { key: name }, h('dt', null, name), h('dd', null, ...value));
  return h('section', { class: 'panel', 'aria-label': 'At a glance' }, h('dl', { class: 'facts wide' },
    fact('Data is', age(topic)),
    fact('Next poll', ...plan(topic)),
    fact('Last change', moving(topic.last_change, 'ago', 'none yet')),
    fact('Subscribers', count(listening.total), ...modes(listening)),
    fact('Document', size(topic.document_bytes || null)),
    topic.history_bytes > 0 && fact('History', size(topic.history_bytes))));
}

function findings({ noise = [], keys = [] }) {
  if (!noise?.length && !keys?.length) return false;
  return h('section', { class: 'panel findings', 'aria-labelledby': 'findings-title' },
    h('div', { class: 'bar' }, h('h2', { id: 'findings-title' }, 'Findings')),
    noise?.length > 0 && [
      h('h3', null, 'Noise'),
      h('p', null, 'These places change with every answer:'),
      h('ul', null, ...noise.map(({ place, bytes }) => h('li', { key: place },
        h('code', { dir: 'auto' }, place), ' ', h('span', { class: 'quiet' }, size(bytes), ' sent so far')))),
      h('p', null, 'If nobody needs them, this line of the feed’s ', h('code', null, 'document'), ' section leaves them out:'),
      command(noise[0].ignore, 'the line'),
    ],
    keys?.length > 0 && [
      h('h3', null, 'Keys'),
      h('p', null, 'What identifies the elements of arrays, found by itself:'),
      h('ul', null, ...keys.map(({ place, key }) => h('li', { key: place },
        h('code', { dir: 'auto' }, place || 'the whole document'), ' by ', h('code', { dir: 'auto' }, [key].flat().join(' + '))))),
    ]);
}

function listen({ path, private: isPrivate }, { listeners }) {
  const [origin] = listeners ?? [];
  if (!origin || isPrivate) return false;
  const url = quoted(origin + path);
  return h('section', { class: 'panel listen', 'aria-labelledby': 'listen-title' },
    h('div', { class: 'bar' }, h('h2', { id: 'listen-title' }, 'Listen to it')),
    command(`pollcast tail ${url}`, 'the command for pollcast'),
    command(`curl -N -H 'Accept: text/event-stream' ${url}`, 'the command for curl'));
}

/** As one word for a shell, whatever is in it. */
function quoted(text) {
  return /^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function command(text, what) {
  return h('div', { key: text, class: 'command' },
    h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': what }, h('code', null, text)),
    h('button', { type: 'button', 'aria-label': `Copy ${what}`, onclick: ({ currentTarget }) => copy(text, currentTarget) }, 'Copy'));
}

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = 'Copied';
  } catch { // without TLS a browser may refuse: then it is ready to be copied by hand
    getSelection().selectAllChildren(button.previousElementSibling);
    button.textContent = 'Selected';
  }
  setTimeout(() => { button.textContent = 'Copy'; }, 2000);
}
