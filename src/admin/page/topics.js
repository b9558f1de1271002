// A feed with parameters: its topics, a page at a time.

import { h } from './dom.js';
import { count, moving, prose, several, size, span } from './format.js';
import { age, badge, cell, filterBox, plan, table } from './parts.js';

const LIMIT = 50;
const FRESH = 3000; // milliseconds that an answer is good for

/** The list of a feed's topics; it is asked for again when the feed has moved on. */
export class TopicsView {
  #pages = [null]; // the ids after which the pages up to this one begin
  #list;
  #problem = '';
  #asked = 0;
  #filter = '';
  #feed; // as it was when last asked

  constructor(path, onChange) {
    this.path = path;
    this.onChange = onChange;
    this.#ask();
  }

  /** Takes a new state of the feed. */
  learn(feed) {
    if (feed === this.#feed || this.#asked === Infinity) return;
    if (performance.now() - this.#asked < FRESH) {
      clearTimeout(this.later);
      this.later = setTimeout(() => this.#ask(), FRESH);
    } else this.#ask();
    this.#feed = feed;
  }

  close() {
    clearTimeout(this.later);
    this.onChange = () => {};
  }

  async #ask() {
    this.#asked = Infinity;
    const query = new URLSearchParams({ feed: this.path, limit: LIMIT });
    const after = this.#pages.at(-1);
    if (after) query.set('after', after);
    try {
      const answer = await fetch(`/api/topics?${query}`);
      if (!answer.ok) throw new Error((await answer.text()).trim());
      const list = await answer.json();
      if (after === this.#pages.at(-1)) [this.#list, this.#problem] = [list, ''];
    } catch (error) {
      this.#problem = `The topics cannot be listed: ${error.message}`;
    }
    this.#asked = performance.now();
    this.onChange();
  }

  #turn(pages) {
    this.#pages = pages;
    this.#ask();
  }

  view(feed) {
    return [
      h('div', { class: 'intro' },
        h('nav', { class: 'crumbs', 'aria-label': 'Where this is' }, h('a', { href: '/' }, 'Feeds')),
        h('h1', { dir: 'auto' }, feed.path),
        h('p', null, badge(feed.state), h('span', { class: 'quiet' },
          `, the worst of ${several(feed.topics, 'topic')}; at most ${count(feed.max_topics)}; from ${feed.upstream}`)),
        feed.quiet && h('p', { class: 'quiet', dir: 'auto' }, ...prose(feed.quiet.text))),
      h('section', { class: 'panel feeds', 'aria-labelledby': 'topics-title' },
        h('div', { class: 'bar' },
          h('h2', { id: 'topics-title' }, 'Topics ', h('small', null, count(feed.topics))),
          filterBox(this.#filter, 'Filter these topics', (text) => { this.#filter = text; this.onChange(); })),
        this.#problem && h('p', { class: 'reason down', role: 'status' }, this.#problem),
        this.#list && this.#table(this.#list.topics),
        this.#turning()),
    ];
  }

  #table(topics) {
    const wanted = this.#filter.toLowerCase();
    const shown = topics.filter(({ path }) => path.toLowerCase().includes(wanted));
    if (!shown.length) return h('p', { class: 'waiting' }, topics.length ? 'No topic here is like that.' : 'There are no topics: nobody has asked yet.');
    return table('topics-title', ['State', 'Topic', 'Data is', 'Next poll', 'Last change', 'Subscribers', 'Document'], shown.map(row));
  }

  #turning() {
    const next = this.#list?.next;
    const here = this.#pages.length;
    if (!next && here === 1) return false;
    return h('p', { class: 'turning' },
      h('button', { type: 'button', disabled: here === 1, onclick: () => this.#turn(this.#pages.slice(0, -1)) }, 'Previous page'),
      h('span', { class: 'quiet' }, `Page ${here}`),
      h('button', { type: 'button', disabled: !next, onclick: () => this.#turn([...this.#pages, next]) }, 'Next page'));
  }
}

/** The list is asked for again every few seconds only: too seldom for a countdown. */
function rhythm(topic) {
  const isSteady = topic.state === 'live' && topic.interval_ms <= 10_000;
  return isSteady && topic.next_poll ? [`every ${span(topic.interval_ms)}`] : plan(topic, true);
}

function row(topic) {
  const { subscribers } = topic;
  return h('tr', { key: topic.id, role: 'row', 'data-state': topic.state },
    cell('State', badge(topic.state)),
    h('th', { role: 'rowheader', scope: 'row', 'data-name': 'Topic' },
      h('a', { href: `/?topic=${encodeURIComponent(topic.id)}`, dir: 'auto' }, topic.path),
      h('span', { class: 'under', dir: 'auto' }, topic.private && 'private ', topic.reason ?? '')),
    cell('Data is', age(topic)),
    cell('Next poll', ...rhythm(topic)),
    cell('Last change', moving(topic.last_change, 'ago')),
    cell('Subscribers', count(subscribers?.total ?? subscribers)),
    cell('Document', size(topic.document_bytes || null)));
}
