// Follows a feed with npm's eventsource and fast-json-patch, neither of which knows pollcast.
//
//   node follow.mjs URL [--drop-after N]
//
// Prints one line of JSON for each document that it comes to hold, {"id", "document"}, and one for
// each {"reset"} or {"status"}. With --drop-after it leaves after one to N events, says {"dropped"},
// waits a little, and resumes with ?last_event_id=. Ends when standard input does.
import { EventSource } from 'eventsource';
import jsonpatch from 'fast-json-patch';

const [url, option, most] = process.argv.slice(2);
const dropAfter = option === '--drop-after' ? Number(most) : Infinity;

let document;
let lastId = '';

process.stdin.on('end', () => process.exit(0)).resume();
follow();

function follow() {
  const address = new URL(url);
  // A fresh EventSource has no last id of its own to send as a header.
  if (lastId) address.searchParams.set('last_event_id', lastId);
  const source = new EventSource(address);
  let left = dropAfter === Infinity ? Infinity : 1 + Math.floor(Math.random() * dropAfter);

  const take = (event, read) => {
    // eventsource goes on telling what came in one piece with the event that made us leave.
    if (source.readyState === EventSource.CLOSED) return;
    document = read(JSON.parse(event.data));
    lastId = event.lastEventId;
    print({ id: lastId, document });
    left -= 1;
    if (left > 0) return;
    source.close();
    print({ dropped: lastId });
    setTimeout(follow, Math.random() * 300);
  };
  source.addEventListener('snapshot', (event) => take(event, (snapshot) => snapshot));
  source.addEventListener('patch', (event) => {
    take(event, (patch) => jsonpatch.applyPatch(document, patch, true, false).newDocument);
  });
  for (const name of ['reset', 'status']) {
    source.addEventListener(name, (event) => print({ [name]: JSON.parse(event.data) }));
  }
}

function print(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
