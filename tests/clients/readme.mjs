// Runs the example of a mode as the README shows it, with npm's eventsource.
//
//   node readme.mjs MODE URL
//
// Prints {"id", "document"} for each state that the example would show; `id` is empty. Ends when
// standard input does.
import { readFileSync } from 'node:fs';
import { EventSource } from 'eventsource';

const [mode, url] = process.argv.slice(2);

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
const blocks = readme.split('```js\n').slice(1).map((block) => block.split('```')[0]);
const example = blocks.find((block) => block.includes(`?mode=${mode}`));

class Page extends EventSource {
  constructor(path) {
    super(new URL(path, url));
  }
}

const show = (document) => process.stdout.write(`${JSON.stringify({ id: '', document })}\n`);
const draw = (rows) => show([...rows.values()].sort((a, b) => a.id - b.id));

process.stdin.on('end', () => process.exit(0)).resume();
new Function('EventSource', 'show', 'draw', example)(Page, show, draw);
