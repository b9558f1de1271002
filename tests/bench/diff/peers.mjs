// One npm library at work: `node peers.mjs LIBRARY`, a job as a line of JSON on stdin.
//
// A job is {bodies: [file…], key, rounds, seconds, patches: file}. Each round takes the bodies in
// one after the other, as pollcast does: text in, patch text out. Reading files is not counted.
// The first round writes the patches, one a line, and warms up: its time counts only if there
// is none for another. Told on stdout: {ready}, then {pairs, seconds: [of each round]} or {error}.
import { readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const libraries = {
  async 'fast-json-patch'() {
    const { default: { compare } } = await import('fast-json-patch');
    return () => compare;
  },
  async rfc6902() {
    const { createPatch } = await import('rfc6902');
    return () => createPatch;
  },
  async jsondiffpatch() {
    const { create } = await import('jsondiffpatch');
    const { format } = await import('jsondiffpatch/formatters/jsonpatch');
    return key => {
      const differ = create(key === null ? {} : { objectHash: item => item[key] });
      return (old, now) => format(differ.diff(old, now));
    };
  },
};

const differWith = await libraries[process.argv[2]]();
const say = message => process.stdout.write(JSON.stringify(message) + '\n');

for await (const line of createInterface({ input: process.stdin })) {
  const job = JSON.parse(line);
  try {
    say(work(job, differWith(job.key)));
  } catch (error) {
    say({ error: String(error.message) });
  }
}

function work(job, diff) {
  const bodies = job.bodies.map(file => readFileSync(file, 'utf8'));
  say({ ready: true });
  const end = performance.now() + 1000 * job.seconds;
  const first = round(bodies, diff, end);
  writeFileSync(job.patches, first.patches.map(patch => patch + '\n').join(''));
  const seconds = [];
  const anotherFits = () => performance.now() + 1000 * first.seconds < end;
  while (seconds.length < job.rounds && anotherFits()) {
    seconds.push(round(bodies, diff, Infinity).seconds);
  }
  return { pairs: first.patches.length, seconds: seconds.length ? seconds : [first.seconds] };
}

function round(bodies, diff, end) {
  let old = JSON.parse(bodies[0]);
  let seconds = 0;
  const patches = [];
  for (let i = 1; i < bodies.length && performance.now() < end; i++) {
    const start = performance.now();
    const now = JSON.parse(bodies[i]);
    patches.push(JSON.stringify(diff(old, now)));
    old = now;
    seconds += (performance.now() - start) / 1000;
  }
  return { patches, seconds };
}
