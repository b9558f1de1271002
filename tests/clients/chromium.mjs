// Follows a feed with the EventSource of a real Chromium.
//
//   node chromium.mjs PAGE FEED    CHROMIUM names the browser
//
// Opens PAGE, subscribes to FEED from there, and prints one line of JSON for each document that it
// comes to hold, {"id", "document"}, the patches applied by fast-json-patch. The first line is
// {"coding"}, the content coding of the stream. Ends when standard input does.
import { once } from 'node:events';
import jsonpatch from 'fast-json-patch';
import { chromium } from 'playwright-core';

const [page, feed] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? 'chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
let document;
try {
  const tab = await browser.newPage();
  tab.on('response', (response) => {
    if (new URL(response.url()).pathname !== feed) return;
    print({ coding: response.headers()['content-encoding'] ?? null });
  });
  await tab.exposeFunction('take', (name, id, data) => {
    const value = JSON.parse(data);
    document = name === 'snapshot' ? value : jsonpatch.applyPatch(document, value).newDocument;
    print({ id, document });
  });
  await tab.goto(page);
  await tab.evaluate((address) => {
    window.source = new EventSource(address);
    for (const name of ['snapshot', 'patch']) {
      window.source.addEventListener(name, (event) => window.take(name, event.lastEventId, event.data));
    }
  }, feed);
  process.stdin.resume();
  await once(process.stdin, 'end');
} finally {
  await browser.close();
}

function print(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
