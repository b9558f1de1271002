// node upstreams.mjs FAILING
//
// The APIs behind scene.yaml. Prints where they are as one line of JSON: variables for that file.
// FAILING says when the partner fails, in seconds since it was first asked, such as `0-4,60-90`,
// or `0-4/10` for the same every ten seconds.

import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';

let asked; // the partner, for the first time
const since = (moment) => (Date.now() - moment) / 1000;
const failing = (process.argv[2] ?? '').split(',').filter(Boolean).map((period) => {
  const [, from, to, every] = /^(\d+)-(\d+)(?:\/(\d+))?$/.exec(period);
  return { from: Number(from), to: Number(to), every: Number(every ?? Infinity) };
});
const fails = (seconds) =>
  failing.some(({ from, to, every }) => {
    const now = every === Infinity ? seconds : seconds % every;
    return from <= now && now < to;
  });

const below = (n) => Math.floor(Math.random() * n);
const pick = (list) => list[below(list.length)];

// Orders come, move on, and are gone.
const STATUS = ['new', 'paid', 'packed', 'sent'];
const ITEMS = ['tea', 'coffee', 'cocoa', 'honey', 'oats', 'salt'];
let number = 1000;
const order = () => ({ id: ++number, item: pick(ITEMS), count: 1 + below(5), status: 'new', note: '' });
const orders = Array.from({ length: 60 }, order);
function orderly() {
  const one = pick(orders);
  one.status = STATUS[STATUS.indexOf(one.status) + 1] ?? 'sent';
  if (below(4) === 0) orders.splice(below(orders.length), 1, order());
  return { generated_at: new Date().toISOString(), orders };
}

const prices = Object.fromEntries(ITEMS.concat(STATUS).map((name) => [name, { buy: 100, sell: 110 }]));
function pricey() {
  if (below(3) > 0) prices[pick(Object.keys(prices))].buy += below(7) - 3;
  return prices;
}

const stock = ITEMS.map((item, id) => ({ id, item, shelf: `a-${id}`, left: 500 }));
function stocked() {
  const one = pick(stock);
  one.left = one.left > 5 ? one.left - below(5) : 500;
  return stock;
}

const mapped = () => ({ tile: randomBytes(400_000).toString('base64') });
const rates = () => ({ base: 'EUR', rates: { USD: 1 + below(99) / 1e3, JPY: 160 + below(99) / 10, CHF: 0.9 } });

const send = (answer, status, value) => {
  answer.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
};
const late = (least, most, then) => setTimeout(then, least + below(most - least));

function shop(request, answer) {
  const { pathname } = new URL(request.url, 'http://shop');
  if (pathname === '/orders') return late(5, 40, () => send(answer, 200, orderly()));
  if (pathname === '/prices') return late(1, 10, () => send(answer, 200, pricey()));
  if (pathname === '/map') return send(answer, 200, mapped());
  if (pathname.startsWith('/customers/')) return late(60, 240, () => send(answer, 200, orderly()));
  if (pathname === '/catalogue') return late(2, 60, () => send(answer, 200, ITEMS));
  if (pathname === '/broken') return late(50, 400, () => send(answer, 500, 'broken'));
  if (pathname === '/moved') return answer.writeHead(307, { location: '/catalogue' }).end();
  send(answer, 404, 'nothing here');
}

const warehouse = (well) => (request, answer) => {
  if (request.url === '/healthz') return send(answer, well() ? 200 : 503, {});
  late(5, 80, () => send(answer, 200, stocked()));
};

function partner(_, answer) {
  asked ??= Date.now();
  if (fails(since(asked))) return late(20, 60, () => send(answer, pick([500, 503]), 'not now'));
  late(20, 200, () => send(answer, 200, rates()));
}

const began = Date.now();
const listen = (handle) =>
  new Promise((listening) => {
    const server = createServer(handle).listen(0, '127.0.0.1', () => {
      listening(`http://127.0.0.1:${server.address().port}`);
    });
  });

console.log(JSON.stringify({
  SHOP: await listen(shop),
  WAREHOUSE_A: await listen(warehouse(() => true)),
  WAREHOUSE_B: await listen(warehouse(() => since(began) % 45 > 6)),
  PARTNER: await listen(partner),
}));
