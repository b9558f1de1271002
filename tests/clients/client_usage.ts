// How the types of the client module are used; `tsc` must accept all of it, and refuse what it should.
import { live, merge, patch, type Freshness, type Live, type State } from '../../src/client/pollcast.js';

interface Order { id: number; status: string }

const orders: Live<Order[]> = live<Order[]>('/orders', { mode: 'merge', heartbeat: { every: 15_000, event: 'ping' } });
const first: Order | undefined = orders.document?.[0];
const state: State = orders.state;
const { since, lastSuccess, reason, lastHeard }: Freshness = orders.freshness;
const off: () => void = orders.on<string>('/0/status', (value, before, pointer) => {
  const text: string | undefined = value ?? before ?? pointer;
  console.log(text, since.getTime(), lastSuccess?.getTime(), reason?.length, lastHeard.getTime());
});
orders.subscribe((document) => console.log(document.length, first, state));
orders.addEventListener('change', ({ document, before }) => console.log(document[0]?.id, before?.length));
orders.addEventListener('state', ({ state }) => console.log(state === 'stale'));
orders.addEventListener('reset', ({ reason }) => console.log(reason === 'lagged'));
orders.addEventListener('event', ({ name, data, id }) => console.log(name === 'patch', data.length, id));
orders.addEventListener('end', ({ reason }) => console.log(reason), { once: true });
off();
orders.close();

live('/mine', { headers: async () => ({ authorization: 'Bearer a' }), credentials: 'include' });
live('/search', { method: 'POST', body: '{}', share: false });
live(new URL('http://127.0.0.1/rows'), { items: { at: '/rows', key: 'id' }, events: { patch: 'delta' } });
live<Order>('/order', { document: { id: 1, status: 'new' }, lastEventId: orders.lastEventId });

const patched: Order = patch<Order>({ id: 1 }, [{ op: 'add', path: '/status', value: 'new' }, { op: 'move', from: '/id', path: '/id' }]);
const merged: Order = merge<Order>(patched, { status: 'paid' });
console.log(merged);

// @ts-expect-error: no such mode
live('/orders', { mode: 'diff' });
// @ts-expect-error: documents are not for writing
orders.document = [];
// @ts-expect-error: a move says from where
patch({}, [{ op: 'move', path: '/a' }]);
// @ts-expect-error: no such state
orders.state === 'open';
