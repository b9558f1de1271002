// node check.mjs PROMETHEUS SCRAPE_SECONDS RANGE_SECONDS DASHBOARD…
//
// Puts every query of the dashboards to Prometheus, with "All" for each variable and with each
// variable's values by name, and prints a line of JSON for each: where it stands, what was asked,
// how many series came, or the error.

import { Dashboard, Prometheus, Range } from './dashboard.mjs';

const [url, scrape, seconds, ...files] = process.argv.slice(2);
const prometheus = new Prometheus(url);
const end = Date.now() / 1000;
const range = new Range({ start: end - seconds, end, step: 1, scrape: Number(scrape) });

for (const file of files) await check(await Dashboard.read(file));

async function check(dashboard) {
  const chosen = {};
  for (const variable of dashboard.variables()) {
    const query = dashboard.fill(variable.query.query, range);
    await told(dashboard, `variable ${variable.name}`, query, async () => {
      chosen[variable.name] = await prometheus.labelValues(query, range);
      return chosen[variable.name];
    });
  }
  for (const annotation of dashboard.annotations()) {
    await each(dashboard, `annotation ${annotation.name}`, annotation.expr, false, chosen);
  }
  for (const panel of dashboard.panels()) {
    for (const { refId, expr, instant } of panel.targets) {
      await each(dashboard, `${panel.title} ${refId}`, expr, instant, chosen);
    }
  }
}

async function each(dashboard, where, expr, instant, chosen) {
  for (const values of [{}, chosen]) {
    const query = dashboard.fill(expr, range, values);
    await told(dashboard, where, query, () => prometheus.query(query, range, instant));
  }
}

async function told(dashboard, where, query, ask) {
  const line = { dashboard: dashboard.title, where, query };
  try {
    line.found = (await ask()).length;
  } catch (error) {
    line.error = error.message;
  }
  console.log(JSON.stringify(line));
}
