// The files of the client module: patches by themselves, types, size, package, examples.
//
//   node client_files.mjs SCENE    POLLCAST names the binary, CHROMIUM the browser; SEED repeats a run
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import {
  mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import jsonpatch from 'fast-json-patch';
import { compile } from 'svelte/compiler';
import { live, merge, patch } from '../../src/client/pollcast.js';
import { canonical, eventually, play, stage, startBrowser, visit } from './client_stage.mjs';

const scenes = {
  /** RFC 6902 and RFC 7396, by cases and beside fast-json-patch. */
  async applied() {
    const folder = new URL('../fixtures/json_patch/', import.meta.url);
    let cases = 0;
    for (const file of readdirSync(folder)) {
      for (const { about, document, patch: operations, expected, error } of JSON.parse(readFileSync(new URL(file, folder), 'utf8'))) {
        const before = JSON.stringify(document);
        if (/one double|too large for a double/.test(about)) continue; // numbers are JavaScript's
        cases += 1;
        if (error !== undefined) assert.throws(() => patch(document, operations), `${file}: ${about}`);
        else assert.equal(canonical(patch(document, operations)), canonical(expected), `${file}: ${about}`);
        assert.equal(JSON.stringify(document), before, `${file}: ${about}: the document stays`);
      }
    }
    assert(cases > 50);
    for (const [held, change, expected] of MERGES) {
      const before = JSON.stringify(held);
      assert.deepEqual(merge(held, change), expected);
      assert.equal(JSON.stringify(held), before);
    }

    const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));
    console.log(`seed ${seed}`);
    const random = numbers(seed);
    let fitting = 0;
    for (let round = 0; round < 5000; round += 1) {
      const held = { a: value(random, 4) };
      const text = JSON.stringify(held);
      const isDiff = random(2) === 0;
      const operations = isDiff ? jsonpatch.compare(held, { a: value(random, 4) }) : scrambled(random, held);
      const about = JSON.stringify([held, operations]);
      let made;
      try {
        made = patch(held, operations);
      } catch {
        // It takes what RFC 6902 refuses, such as a member of a text, but a diff always fits.
        assert(!isDiff, about);
        continue;
      }
      fitting += 1;
      const { newDocument } = jsonpatch.applyPatch(structuredClone(held), structuredClone(operations));
      assert.equal(canonical(made), canonical(newDocument), about);
      assert.equal(JSON.stringify(held), text, 'the document stays');
    }
    assert(fitting > 3000, `${fitting} patches fit`);
  },

  /** What is committed beside the source: types that are true, and the small one that is the same. */
  async files() {
    const client = new URL('../../src/client/', import.meta.url).pathname;
    const { outputFiles: [{ text }] } = await build({
      entryPoints: [join(client, 'pollcast.js')], minify: true, format: 'esm', target: 'es2022', write: false,
    });
    assert.equal(readFileSync(join(client, 'pollcast.min.js'), 'utf8'), text, 'see Building in src/client/README.md');
    const size = gzipSync(text, { level: 9 }).length;
    assert(size < 4096, `${size} bytes`);
    console.log(`${size} bytes gzipped`);
    const types = readFileSync(join(client, 'pollcast.d.ts'), 'utf8');
    const declared = [...types.matchAll(/^export (?:declare )?(?:function|const|class) (\w+)/gm)].map(([, name]) => name);
    for (const file of ['pollcast.js', 'pollcast.min.js']) {
      assert.deepEqual(Object.keys(await import(join(client, file))).sort(), declared.sort());
    }
    const feed = live('http://127.0.0.1:9/');
    for (const name of ['document', 'state', 'freshness', 'lastEventId', 'on', 'subscribe', 'close', 'addEventListener']) {
      assert(name in feed, name);
    }
    feed.close();
    const here = new URL('.', import.meta.url).pathname;
    const tsc = join(here, 'node_modules/.bin/tsc');
    execFileSync(tsc, ['--noEmit', '--strict', '--target', 'es2022', '--module', 'nodenext', '--lib', 'es2022,dom', '--types', '', join(here, 'client_usage.ts')], { stdio: 'inherit' });
  },

  /** The package as npm packs it: in Node, in a bundle, and in the examples. */
  async package() {
    const folder = mkdtempSync(join(tmpdir(), 'pollcast-package-'));
    const here = new URL('.', import.meta.url).pathname;
    const run = (command, ...rest) => execFileSync(command, rest, { cwd: folder, encoding: 'utf8' });
    try {
      const [{ filename, files }] = JSON.parse(run('npm', 'pack', '--json', '--offline', join(here, '../../src/client')));
      assert.deepEqual(files.map(({ path }) => path).sort(), [
        'LICENSE', 'README.md', 'examples/Orders.svelte', 'examples/react.js', 'examples/vue.js', 'package.json',
        'pollcast.d.ts', 'pollcast.js', 'pollcast.min.js',
      ]);
      run('tar', 'xf', filename);
      mkdirSync(join(folder, 'node_modules'));
      renameSync(join(folder, 'package'), join(folder, 'node_modules/pollcast'));
      for (const name of readdirSync(join(here, 'node_modules'))) {
        if (!name.startsWith('.')) symlinkSync(join(here, 'node_modules', name), join(folder, 'node_modules', name));
      }
      const bundle = (name, text, plugins = []) => build({
        stdin: { contents: text, resolveDir: folder, loader: 'js' },
        bundle: true, format: 'esm', write: false, minify: true, logLevel: 'error', plugins,
        define: { 'process.env.NODE_ENV': '"production"', __VUE_OPTIONS_API__: 'true', __VUE_PROD_DEVTOOLS__: 'false', __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false' },
      }).then(({ outputFiles: [{ text }] }) => ({ [`/${name}.js`]: text, [`/${name}`]: `<!doctype html><title>${name}</title><main id="at"></main><script type="module" src="/${name}.js"></script>` }));
      const compiled = {
        name: 'svelte',
        setup: ({ onLoad }) => onLoad({ filter: /\.svelte$/ }, ({ path }) => ({
          contents: compile(readFileSync(path, 'utf8'), { filename: path, generate: 'client' }).js.code,
        })),
      };
      const kinds = {
        plain: "import { live } from 'pollcast'; live('/feed').subscribe(({ rows }) => { at.innerHTML = rows.map(({ status }) => `<li>${status}</li>`).join(''); });",
        react: `import { createElement as h, StrictMode, useState } from 'react'; import { createRoot } from 'react-dom/client';
          import { useLive } from 'pollcast/examples/react.js';
          function Orders() { const { document, state } = useLive('/feed'); return h('ul', { title: state }, (document?.rows ?? []).map((row) => h('li', { key: row.id }, row.status))); }
          function Page() { const [shown, show] = useState(true); window.toggle = () => show(!shown); return shown ? h(Orders) : null; }
          createRoot(at).render(h(StrictMode, null, h(Page)));`,
        vue: `import { createApp, h, ref } from 'vue'; import { useLive } from 'pollcast/examples/vue.js';
          const Orders = { setup() { const { document, state } = useLive('/feed'); return () => h('ul', { title: state.value }, (document.value?.rows ?? []).map((row) => h('li', row.status))); } };
          const shown = ref(true); window.toggle = () => (shown.value = !shown.value);
          createApp({ setup: () => () => (shown.value ? h(Orders) : null) }).mount(at);`,
        svelte: `import { mount, unmount } from 'svelte'; import Orders from 'pollcast/examples/Orders.svelte';
          let shown = mount(Orders, { target: at, props: { url: '/orders' } });
          window.toggle = () => { if (shown) unmount(shown); shown = shown ? undefined : mount(Orders, { target: at, props: { url: '/orders' } }); };`,
      };
      const pages = {};
      for (const [name, text] of Object.entries(kinds)) Object.assign(pages, await bundle(name, text, [compiled]));
      const { upstream, network, pollcast } = await stage({ files: pages });

      const node = `import { live } from 'pollcast'; const feed = live('http://127.0.0.1:${pollcast.port}/feed');
        const off = feed.subscribe(({ n }) => { console.log(n); feed.close(); });`;
      writeFileSync(join(folder, 'once.mjs'), node);
      // Not synchronously: the upstream lives in this process.
      const { stdout } = await promisify(execFile)('node', [join(folder, 'once.mjs')]);
      assert.equal(stdout, '1\n');

      const browser = await startBrowser();
      for (const name of Object.keys(kinds)) {
        const context = await browser.newContext();
        const at = await visit(context, `${network.url}/${name}`);
        const says = () => at.$$eval('li', (items) => items.map((item) => item.textContent).join());
        const statuses = () => upstream.document.rows.map(({ status }) => status).join();
        await eventually(async () => (await says()) === statuses(), `${name} shows it`);
        const change = async () => {
          const document = structuredClone(upstream.document);
          document.rows[1].status = `s${(document.n += 1)}`;
          document.rows.push({ id: document.n + 10, status: 'more' });
          upstream.set(document);
          await eventually(async () => (await says()) === statuses(), `${name} follows`);
        };
        await change();
        if (name !== 'plain') {
          if (name !== 'svelte') await eventually(() => at.$eval('ul', ({ title }) => title === 'live'));
          await at.evaluate(() => window.toggle());
          await eventually(async () => (await pollcast.subscribers()) === 0, `${name} closes what it opened`);
          await at.evaluate(() => window.toggle());
          await change();
        }
        await context.close();
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
};

/** RFC 7396, appendix A, and names that mean something to JavaScript. */
const MERGES = [
  [{ a: 'b' }, { a: 'c' }, { a: 'c' }], [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }], [{ a: 'b' }, { a: null }, {}],
  [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }], [{ a: ['b'] }, { a: 'c' }, { a: 'c' }], [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
  [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }], [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
  [['a', 'b'], ['c', 'd'], ['c', 'd']], [{ a: 'b' }, ['c'], ['c']], [{ a: 'foo' }, null, null], [{ a: 'foo' }, 'bar', 'bar'],
  [{ e: null }, { a: 1 }, { e: null, a: 1 }], [[1, 2], { a: 'b', c: null }, { a: 'b' }], [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  [{}, JSON.parse('{"__proto__":{"a":1}}'), JSON.parse('{"__proto__":{"a":1}}')],
];

/** Whole numbers below what is asked for, the same for the same seed. */
function numbers(seed) {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const MEMBERS = ['a', 'b', 'c/d', '~', '~1', '', '0', 'ü'];

function value(random, depth) {
  const kind = random(depth > 0 ? 6 : 4);
  if (kind === 4) return Array.from({ length: random(5) }, () => value(random, depth - 1));
  if (kind === 5) return Object.fromEntries(Array.from({ length: random(5) }, () => [MEMBERS[random(MEMBERS.length)], value(random, depth - 1)]));
  return [null, random(3), 'text', random(2) === 1][kind];
}

/** Operations at places that mostly exist. */
function scrambled(random, document) {
  const places = [];
  const walk = (value, pointer) => {
    places.push(pointer);
    if (value === null || typeof value !== 'object') return;
    for (const name of Object.keys(value)) walk(value[name], `${pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`);
  };
  walk(document, '');
  const place = () => places[1 + random(places.length - 1)];
  const ops = ['add', 'remove', 'replace', 'move', 'copy', 'test'];
  return Array.from({ length: 1 + random(4) }, () => {
    const op = ops[random(ops.length)];
    return { op, path: random(4) ? place() : `${place()}/${random(2) ? 'new' : random(3)}`, from: place(), value: value(random, 2) };
  });
}

const scene = scenes[process.argv[2]];
assert(scene, `one of ${Object.keys(scenes)}`);
play(scene);
