// node draw.mjs PROMETHEUS END MINUTES BOARDS OUT NAME...: the boards as Chromium shows them.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import puppeteer from 'puppeteer-core';
import UPNG from 'upng-js';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const WIDTH = 1600;
const COLOURS = 128;
const TYPES = {
  '.css': 'text/css',
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
};
const [prometheus, end, minutes, boards, out, ...names] = process.argv.slice(2);

function fileOf(name) {
  const board = /^\/boards\/(\w+\.json)$/.exec(name);
  if (board) return path.join(boards, board[1]);
  const icon = /img\/icons\/.+/.exec(name);
  if (icon) return path.join('node_modules/@grafana/ui/dist/public', icon[0]);
  const font = /Inter-(Regular|Medium)\.woff2$/.exec(name);
  const weight = font?.[1] === 'Medium' ? 500 : 400;
  if (font) return `node_modules/@fontsource/inter/files/inter-latin-${weight}-normal.woff2`;
  return path.join(name === '/index.html' ? '.' : 'dist', name);
}

const server = http.createServer((request, response) => {
  const file = fileOf(new URL(request.url, 'http://page').pathname);
  fs.readFile(file, (error, data) => {
    const type = TYPES[path.extname(file)] ?? 'application/octet-stream';
    response.writeHead(error ? 404 : 200, { 'Content-Type': type });
    response.end(error ? '' : data);
  });
});
await new Promise((done) => server.listen(0, '127.0.0.1', done));

const browser = await puppeteer.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
for (const name of names) {
  const page = await browser.newPage();
  page.on('pageerror', (error) => console.error(`${name}: ${error.stack}`));
  const view = { width: WIDTH, height: 1200, deviceScaleFactor: 1 };
  await page.setViewport(view);
  const query = new URLSearchParams({ board: name, prometheus, end, minutes, width: WIDTH });
  await page.goto(`http://127.0.0.1:${server.address().port}/index.html?${query}`);
  await page.waitForFunction('window.drawn', { timeout: 30_000 });
  const drawn = await page.evaluate('window.drawn');
  await page.setViewport({ ...view, height: Math.ceil(drawn.height) });
  await new Promise((done) => setTimeout(done, 1_000)); // fonts and icons
  const image = UPNG.decode(await page.screenshot());
  const small = UPNG.encode(UPNG.toRGBA8(image), image.width, image.height, COLOURS);
  fs.writeFileSync(path.join(out, `grafana-${name}.png`), Buffer.from(small));
  console.log(name, drawn.problems.length ? drawn.problems : '', 'empty:', drawn.empty.join(', ') || 'none');
  await page.close();
}
await browser.close();
server.close();
