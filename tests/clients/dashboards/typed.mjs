// node typed.mjs FILE…
//
// Checks dashboards against Grafana's types (grafana.ts) with the TypeScript compiler; prints what
// it says, and ends with its status.

import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const folder = await mkdtemp(join(tmpdir(), 'dashboards-'));
let compiled;
try {
  const names = [];
  for (const [number, file] of process.argv.slice(2).entries()) {
    const name = join(folder, `${number}-${basename(file, '.json')}.ts`);
    const types = JSON.stringify(join(here, 'grafana.ts'));
    const json = await readFile(resolve(file), 'utf8');
    JSON.parse(json); // nothing but JSON
    await writeFile(
      name,
      `import type { GrafanaDashboard } from ${types};\nexport const dashboard: GrafanaDashboard = ${json};\n`,
    );
    names.push(name);
  }
  const options = ['--noEmit', '--strict', '--skipLibCheck', '--allowImportingTsExtensions', '--module', 'esnext',
    '--moduleResolution', 'bundler', '--target', 'es2022', '--types', ''];
  compiled = spawnSync(join(here, '../node_modules/.bin/tsc'), [...options, ...names], { cwd: folder, stdio: 'inherit' });
} finally {
  await rm(folder, { recursive: true });
}
process.exitCode = compiled.status ?? 1;
