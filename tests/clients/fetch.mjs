// Reads a feed with Node's own fetch, which knows nothing of events.
//
//   node fetch.mjs URL
//
// Prints {"coding"}, the content coding of the stream, then {"text"} for each piece of it as it
// comes. Ends when standard input does.
const [url] = process.argv.slice(2);
process.stdin.on('end', () => process.exit(0)).resume();
const response = await fetch(url, { headers: { accept: 'text/event-stream' } });
print({ coding: response.headers.get('content-encoding') });
for await (const text of response.body.pipeThrough(new TextDecoderStream())) print({ text });

function print(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
