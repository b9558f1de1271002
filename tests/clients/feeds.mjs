// Opens a page that follows many feeds with Chromium's own EventSource.
//
//   node feeds.mjs URL COUNT    CHROMIUM names the browser; feeds are URL/feeds/0 and so on
//
// Says "all have n=N" each time the last feed has come to N. Ends when standard input does.
import { once } from 'node:events';
import { chromium } from 'playwright-core';

const [url, count] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? 'chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
try {
  const page = await browser.newPage({ ignoreHTTPSErrors: true });
  page.on('console', (message) => console.log(message.text()));
  await page.goto(url);
  await page.evaluate((feeds) => {
    const numbers = new Array(feeds).fill(0);
    let told = 0;
    const take = (feed, n) => {
      if (n === undefined) return;
      numbers[feed] = n;
      const least = Math.min(...numbers);
      if (least > told) {
        told = least;
        console.log(`all have n=${least}`);
      }
    };
    for (let feed = 0; feed < feeds; feed += 1) {
      const source = new EventSource(`/feeds/${feed}`);
      source.addEventListener('snapshot', (event) => take(feed, JSON.parse(event.data).n));
      source.addEventListener('patch', (event) => take(
        feed, JSON.parse(event.data).find((each) => each.path === '/n')?.value));
    }
  }, Number(count));
  process.stdin.resume();
  await once(process.stdin, 'end');
} finally {
  await browser.close();
}
