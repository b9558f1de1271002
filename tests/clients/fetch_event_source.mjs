// Follows a feed with npm's @microsoft/fetch-event-source, which can send what an EventSource
// cannot: headers, another method, a body.
//
//   node fetch_event_source.mjs [--header NAME VALUE] [--method METHOD] [--body TEXT] URL
//
// Prints one line of JSON for each document that it comes to hold, {"id", "document"}, one for each
// {"reset"} or {"status"}, and {"dropped"} when the response ends, after which it comes back by
// itself, with Last-Event-ID. Ends when standard input does.
import fetchEventSource from '@microsoft/fetch-event-source';
import jsonpatch from 'fast-json-patch';

// It is made for pages. What it takes from them besides timers is told that nobody looks away.
globalThis.window = globalThis;
globalThis.document = { removeEventListener() {} };

const options = process.argv.slice(2);
const url = options.pop();
const request = { headers: {}, openWhenHidden: true };
while (options.length > 0) {
  const [option, value] = options.splice(0, 2);
  if (option === '--header') request.headers[value] = options.shift();
  else if (option === '--method') request.method = value;
  else if (option === '--body') request.body = value;
  else throw new Error(`unknown: ${option}`);
}
if (request.body) request.headers['content-type'] = 'application/json';

let held;
let lastId = '';

process.stdin.on('end', () => process.exit(0)).resume();
fetchEventSource.fetchEventSource(url, {
  ...request,
  onmessage({ event, id, data }) {
    if (event === 'reset' || event === 'status') return print({ [event]: JSON.parse(data) });
    // Signs of life and retry lines come as messages without a name.
    if (event !== 'snapshot' && event !== 'patch') return;
    const value = JSON.parse(data);
    held = event === 'snapshot' ? value : jsonpatch.applyPatch(held, value, true, false).newDocument;
    lastId = id;
    print({ id, document: held });
  },
  onclose() {
    print({ dropped: lastId });
    throw new Error('come back');
  },
  onerror() {},
});

function print(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
