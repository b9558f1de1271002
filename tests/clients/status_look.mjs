// How the status page looks and is worked: by keyboard, on narrow screens, by those who cannot see
// it, in light and dark.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const VIEWS = {
  feeds: '/',
  upstreams: '/?view=upstreams',
  configuration: '/?view=configuration',
  topic: `/?feed=${encodeURIComponent('/orders')}`,
  paused: `/?feed=${encodeURIComponent('/rates')}`,
  down: `/?feed=${encodeURIComponent('/stock')}`,
  noisy: `/?feed=${encodeURIComponent('/noisy')}`,
  topics: `/?feed=${encodeURIComponent('/items/{id}')}`,
  missing: '/?feed=/nowhere',
};

async function settled(page) {
  await page.waitForSelector('#link[data-state=live]');
  await page.waitForFunction(() => document.querySelector('main h1, main .panel')
    && !/Connecting…/.test(document.querySelector('main').textContent));
}

const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

/** Every view by axe's rules for WCAG 2.2 AA; in the dark only colours can be worse. */
export async function isAccessible(browser, admin, say) {
  for (const colorScheme of ['light', 'dark']) {
    const page = await browser.newPage({ colorScheme, reducedMotion: 'reduce', viewport: { width: 1280, height: 900 } });
    const rules = colorScheme === 'light' ? RULES : { type: 'rule', values: ['color-contrast'] };
    for (const [name, path] of Object.entries(VIEWS)) {
      await page.goto(admin + path);
      await settled(page);
      await page.evaluate(() => document.querySelectorAll('.events details, .as-table, .yaml details').forEach((one) => { one.open = true; }));
      await page.evaluate(AXE);
      const { violations } = await page.evaluate((runOnly) => window.axe.run(document, { runOnly }), rules);
      const serious = violations.filter(({ impact }) => ['serious', 'critical'].includes(impact));
      const told = serious.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ html, failureSummary }) => `${html} ${failureSummary}`).join(' | ')}`);
      assert.deepEqual(told, [], `${name}, ${colorScheme}`);
      await say(`${name}, ${colorScheme}`);
    }
    await page.close();
  }
}

export async function isWorkedByKeyboard(page, admin) {
  const focused = () => page.evaluate(() => {
    const { activeElement: one } = document;
    return one.id || one.getAttribute('aria-label') || one.textContent.trim();
  });
  await page.goto(`${admin}/`);
  await settled(page);
  await page.keyboard.press('Tab');
  assert.equal(await focused(), 'Skip to content');
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.notEqual(outline, 'none', 'the focus is seen');
  await page.keyboard.press('Enter');
  assert.equal(await focused(), 'main');
  await page.keyboard.press('/');
  assert.equal(await focused(), 'Filter feeds');
  await page.keyboard.type('ord');
  await page.waitForFunction(() => document.querySelectorAll('.feeds tbody tr').length === 1);
  assert.equal(await focused(), 'Filter feeds', 'the focus stays where one types');
  assert.match(page.url(), /filter=ord/);
  await page.keyboard.press('Tab'); // to the order
  await page.keyboard.press('Tab');
  assert.equal(await focused(), '/orders');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.tree summary');
  assert.equal(await focused(), 'main', 'a new view begins at its beginning');

  await page.focus('.tree summary');
  await page.keyboard.press('ArrowLeft');
  await page.waitForFunction(() => document.querySelectorAll('.tree summary').length === 1);
  await page.keyboard.press('ArrowRight');
  await page.waitForFunction(() => document.querySelectorAll('.tree summary').length > 1);
  await page.keyboard.press('ArrowDown');
  const at = () => page.evaluate(() => document.activeElement.closest('li').dataset.pointer);
  assert.equal(await at(), '/0');
  await page.keyboard.press('ArrowUp');
  assert.equal(await at(), '');
  await page.goBack();
  await page.waitForFunction(() => document.querySelector('.filter')?.value === 'ord');
}

export async function fitsNarrowScreens(page, admin) {
  for (const width of [640, 360]) { // 640 is a desk's 1280 at 200 %
    await page.setViewportSize({ width, height: 740 });
    for (const [name, path] of Object.entries(VIEWS)) {
      await page.goto(admin + path);
      await settled(page);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert(wide <= width, `${name}: ${width} px hold a page of ${wide} px`);
    }
  }
  await page.setViewportSize({ width: 1280, height: 900 });
}

/** A picture of every view, on a desk and a phone, light and dark. */
export async function pictures(browser, admin, folder, say) {
  for (const [device, viewport] of [['desk', { width: 1280, height: 900 }], ['phone', { width: 390, height: 844 }]]) {
    for (const colorScheme of ['light', 'dark']) {
      const page = await browser.newPage({ viewport, colorScheme });
      for (const [name, path] of Object.entries(VIEWS)) {
        await page.goto(admin + path);
        await settled(page);
        await page.waitForTimeout(1500);
        await page.screenshot({ path: `${folder}/status-${name}-${device}-${colorScheme}.png`, fullPage: true });
        await say(name);
      }
      await page.close();
    }
  }
}

const CASES = [
  // document after, patch, marks, what is gone
  [{ a: 1 }, [{ op: 'add', path: '/a', value: 1 }], { '/a': 'added' }, {}],
  [{ a: 2 }, [{ op: 'replace', path: '/a', value: 2 }], { '/a': 'changed' }, {}],
  [[1], [{ op: 'replace', path: '', value: [1] }], { '': 'changed' }, {}],
  [{}, [{ op: 'remove', path: '/a~1b' }], {}, { '': ['a/b'] }],
  // What a later operation moves keeps its mark.
  [[9, 1, 5], [{ op: 'replace', path: '/1', value: 5 }, { op: 'add', path: '/0', value: 9 }], { '/0': 'added', '/2': 'changed' }, {}],
  [[[{ s: 2 }]], [{ op: 'replace', path: '/0/1/s', value: 2 }, { op: 'remove', path: '/0/0' }], { '/0/0/s': 'changed' }, { '/0': ['0'] }],
  [[3, 1, 2], [{ op: 'move', from: '/2', path: '/0' }], { '/0': 'moved' }, {}],
  [[{ id: 3, v: 1 }, 0], [{ op: 'replace', path: '/1/v', value: 1 }, { op: 'move', from: '/1', path: '/0' }], { '/0': 'moved', '/0/v': 'changed' }, {}],
  [[1, 1], [{ op: 'copy', from: '/0', path: '/-' }], { '/1': 'added' }, {}],
  // What was added and removed again is nowhere; what lies in what was replaced is not known.
  [{ b: 1 }, [{ op: 'add', path: '/a', value: 1 }, { op: 'remove', path: '/a' }], {}, { '': ['a'] }],
  [{ a: 0 }, [{ op: 'replace', path: '/a/b', value: 1 }, { op: 'replace', path: '/a', value: 0 }], { '/a': 'changed' }, {}],
];

/** The places that a patch has touched are found, wherever later operations have moved them. */
export async function marksAreRight(page) {
  for (const [document, patch, marks, gone] of CASES) {
    const found = await page.evaluate(async ([document, patch]) => {
      const { marks } = await import('/patches.js');
      const found = marks(document, patch);
      return {
        marks: Object.fromEntries([...found.marks].map(([pointer, { kind }]) => [pointer, kind])),
        gone: Object.fromEntries([...found.gone].map(([pointer, all]) => [pointer, all.map(({ token }) => token)])),
      };
    }, [document, patch]);
    assert.deepEqual(found, { marks, gone }, JSON.stringify(patch));
  }
}
