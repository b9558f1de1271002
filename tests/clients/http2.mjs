// Follows feeds on one HTTP/2 connection of Node's own.
//
//   node http2.mjs URL COUNT    feeds are URL/feeds/0 and so on
//
// Says "all have n=N" each time the last feed has come to N. Ends when standard input does.
import { connect, constants } from 'node:http2';

const [url, count] = process.argv.slice(2);
const session = connect(url, { rejectUnauthorized: false });
const numbers = new Array(Number(count)).fill(0);
let told = 0;

for (let feed = 0; feed < numbers.length; feed += 1) {
  const stream = session.request({ ':path': `/feeds/${feed}`, accept: 'text/event-stream' });
  let text = '';
  stream.setEncoding('utf8');
  stream.on('response', (head) => {
    if (head[constants.HTTP2_HEADER_STATUS] !== 200) throw new Error(JSON.stringify(head));
  });
  stream.on('data', (piece) => {
    text += piece;
    for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) {
      const data = /^data: ?(.*)$/m.exec(text.slice(0, end))?.[1];
      if (data) take(feed, JSON.parse(data));
    }
  });
}

function take(feed, data) {
  const n = Array.isArray(data) ? data.find((each) => each.path === '/n')?.value : data.n;
  if (n === undefined) return;
  numbers[feed] = n;
  const least = Math.min(...numbers);
  if (least > told) {
    told = least;
    console.log(`all have n=${least}`);
  }
}

process.stdin.resume();
process.stdin.on('end', () => session.destroy());
