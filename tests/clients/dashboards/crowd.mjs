// node crowd.mjs URL TLS_PORT CLIENTS SECONDS
//
// The clients of scene.yaml, until it is ended: some stay, CLIENTS come and go and resume, the last
// of them after SECONDS, one is slow, some ask for what there is not, and some only make plain
// requests.

import { Agent, get, request } from 'node:http';
import { connect } from 'node:http2';
import { createConnection } from 'node:net';

const [url, tlsPort, clients, seconds] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true, maxSockets: 4 });
const pause = (milliseconds) => new Promise((over) => setTimeout(over, milliseconds));
const below = (n) => Math.floor(Math.random() * n);
const pick = (list) => list[below(list.length)];
const MODES = ['patch', 'merge', 'items', 'snapshot'];

/** An open stream; `left` is fulfilled at its end, `id` is the last that came. */
class Stream {
  constructor(path, headers = {}) {
    this.left = new Promise((over) => {
      this.request = get(`${url}${path}`, { headers: { accept: 'text/event-stream', ...headers } });
      this.request.on('error', over).on('response', (answer) => {
        this.answer = answer;
        if (!answer.headers['content-encoding']) {
          answer.on('data', (bytes) => {
            this.id = /^id: ?(.+)$/m.exec(bytes.toString('latin1'))?.[1] ?? this.id;
          });
        }
        answer.resume().on('error', over).on('close', over);
      });
    });
  }

  leave() {
    this.request.destroy();
    return this.left;
  }
}

async function stays(path, headers) {
  for (;;) {
    await new Stream(path, headers).left;
    await pause(500 + below(1000));
  }
}

async function comesAndGoes() {
  for (;;) {
    const path = pick([`/orders?mode=${pick(MODES)}`, `/prices?mode=${pick(MODES)}`, '/stock', '/rates',
      `/customers/${below(7)}/orders`]);
    const first = new Stream(path);
    await pause(1000 + below(20_000));
    await first.leave();
    await pause(200 + below(2000));
    const id = below(5) > 0 ? first.id : 'another-1';
    const again = new Stream(path, id ? { 'last-event-id': id } : {});
    await pause(1000 + below(30_000));
    await again.leave();
    await pause(below(3000));
  }
}

/** Reads for a moment, then nothing until the sockets' buffers are full. */
async function slow() {
  for (;;) {
    const stream = new Stream('/map?mode=snapshot');
    const reads = setInterval(() => {
      stream.answer?.resume();
      setTimeout(() => stream.answer?.pause(), 500);
    }, 20_000);
    setTimeout(() => stream.answer?.pause(), 500);
    await stream.left;
    clearInterval(reads);
    await pause(1000);
  }
}

function overHttp2() {
  const session = connect(`https://localhost:${tlsPort}`, { rejectUnauthorized: false });
  session.on('error', () => {});
  for (const path of ['/orders', '/prices', '/prices', '/stock', '/rates']) {
    session.request({ ':path': path, accept: 'text/event-stream' }).on('error', () => {}).resume();
  }
}

const once = (path, method = 'GET') =>
  new Promise((over) => {
    const asked = request(`${url}${path}`, { agent, method }, (answer) => {
      answer.resume().on('close', over);
    });
    asked.on('error', over).end();
  });

async function asks() {
  for (;;) {
    const usual = ['/catalogue', '/catalogue', '/orders', '/orders', '/depot/shelves'];
    await once(below(6) > 0 ? pick(usual) : pick(['/moved', '/nothing', '/broken']));
    await pause(below(300));
  }
}

/** Modes that there are not, no key, more than have room, and no TLS where it belongs. */
async function mistakes() {
  for (;;) {
    new Stream('/orders?mode=guess');
    await once('/ledger');
    await Promise.all([...Array(3)].map(() => once('/stock', 'POST')));
    const plain = createConnection(tlsPort, '127.0.0.1', () => plain.end('GET / HTTP/1.1\r\n\r\n'));
    plain.on('error', () => {}).resume();
    const crowded = [...Array(5)].map(() => new Stream('/map'));
    await pause(1500);
    for (const stream of crowded) stream.leave();
    await pause(500 + below(2000));
  }
}

overHttp2();
slow();
asks();
asks();
mistakes();
for (const mode of MODES) stays(`/orders?mode=${mode}`);
for (const path of ['/orders', '/prices', '/stock', '/rates']) stays(path, { 'accept-encoding': 'gzip' });
stays('/rates');
for (let customer = 0; customer < 5; customer++) stays(`/customers/${customer}/orders`);
for (let client = 0; client < Number(clients); client++) {
  await pause((seconds * 1000) / clients);
  comesAndGoes();
}
