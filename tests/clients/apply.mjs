// Applies patches with npm's fast-json-patch, which does not know pollcast.
//
// Reads lines of JSON. {"body"} is a text to hold; {"patch", "body"} a text to apply to what is
// held, which must then mean what the body says. Says {"wrong": line, "why"} at the first that does
// not, from 1, and ends; or {"patches"}, their number, when standard input has ended.
import { createInterface } from 'node:readline';
import { isDeepStrictEqual } from 'node:util';
import jsonpatch from 'fast-json-patch';

let document;
let line = 0;
let patches = 0;

for await (const text of createInterface({ input: process.stdin })) {
  line += 1;
  const { patch, body } = JSON.parse(text);
  const wanted = JSON.parse(body);
  if (patch === undefined) {
    document = wanted;
    continue;
  }
  try {
    document = jsonpatch.applyPatch(document, JSON.parse(patch), true, false).newDocument;
  } catch (error) {
    end({ wrong: line, why: `${error.name}: ${error.message}` });
  }
  if (!isDeepStrictEqual(document, wanted)) {
    end({ wrong: line, why: `holds ${JSON.stringify(document)}, not ${JSON.stringify(wanted)}` });
  }
  patches += 1;
}
end({ patches });

function end(answer) {
  process.stdout.write(`${JSON.stringify(answer)}\n`, () => process.exit(0));
}
