// Reads a dashboard as Grafana does, as far as its queries go: variables are filled in, and every
// query of its panels, variables and annotations is put to Prometheus.

import { readFile } from 'node:fs/promises';

/** Times in seconds: the range that is looked at, the step between points, the scrapes' interval. */
export class Range {
  constructor({ start, end, step, scrape }) {
    Object.assign(this, { start, end, step, scrape });
  }

  /** What `$__…` stand for, as Grafana's Prometheus data source has it. */
  variables() {
    return {
      __interval: `${this.step}s`,
      __rate_interval: `${Math.max(this.step + this.scrape, 4 * this.scrape)}s`,
      __range: `${Math.ceil(this.end - this.start)}s`,
    };
  }
}

/** Prometheus' HTTP API. */
export class Prometheus {
  constructor(url) {
    this.url = url;
  }

  async ask(path, parameters) {
    const answer = await fetch(`${this.url}/api/v1/${path}?${new URLSearchParams(parameters)}`);
    const told = await answer.json();
    if (told.status !== 'success') throw new Error(told.error);
    if (told.warnings?.length) throw new Error(told.warnings.join('; '));
    return told.data;
  }

  /** Series as `{ labels, points: [[seconds, number]] }`, without those that have no number. */
  async query(expr, range, instant = false) {
    const { start, end, step } = range;
    const { result } = instant
      ? await this.ask('query', { query: expr, time: end })
      : await this.ask('query_range', { query: expr, start, end, step });
    return result
      .map(({ metric, value, values }) => ({ labels: metric, points: numbers(values ?? [value]) }))
      .filter(({ points }) => points.some(([, number]) => Number.isFinite(number)));
  }

  /** `label_values(metric, label)`, as a dashboard's variable asks for it. */
  async labelValues(query, { start, end }) {
    const [, metric, label] = /^label_values\((.+),\s*(\w+)\)$/s.exec(query) ?? [];
    if (!label) throw new Error(`not label_values(metric, label): ${query}`);
    return this.ask(`label/${label}/values`, { 'match[]': metric, start, end });
  }
}

const numbers = (points) => points.map(([time, text]) => [time, Number(text)]);

/** One dashboard's file. */
export class Dashboard {
  static async read(file) {
    return new Dashboard(JSON.parse(await readFile(file, 'utf8')));
  }

  constructor(json) {
    this.json = json;
    this.title = json.title;
  }

  /** Panels that show something, those of collapsed rows included. */
  panels() {
    const all = this.json.panels.flatMap((panel) => [panel, ...(panel.panels ?? [])]);
    return all.filter((panel) => panel.type !== 'row');
  }

  variables() {
    return this.json.templating.list.filter(({ type }) => type === 'query');
  }

  annotations() {
    return this.json.annotations.list.filter(({ builtIn }) => !builtIn);
  }

  /** The text of a query. `chosen` has the values of variables; who is not in it is "All". */
  fill(expr, range, chosen = {}) {
    const built = range.variables();
    return expr.replace(/\$(\w+)|\$\{(\w+)\}/g, (whole, plain, braced) => {
      const name = plain ?? braced;
      if (name in built) return built[name];
      const variable = this.variables().find((each) => each.name === name);
      if (!variable) throw new Error(`${whole} is no variable of ${this.title}`);
      const values = chosen[name];
      if (!values) return variable.allValue;
      return values.length === 1 ? literal(values[0]) : `(${values.map(literal).join('|')})`;
    });
  }
}

/** A value within `=~"…"`: a regular expression that means just it, within PromQL's quotes. */
const literal = (value) =>
  value.replace(/[\\$^*{}[\]'+?.()|]/g, (mark) => (mark === '\\' ? '\\\\\\\\' : `\\\\${mark}`));
