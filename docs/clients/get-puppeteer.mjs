import puppeteer from 'puppeteer-core';

const proxy = new URL(process.env.PROXY);
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM,
  args: [`--proxy-server=${proxy.protocol}//${proxy.host}`],
});
const page = await browser.newPage();
await page.authenticate({
  username: decodeURIComponent(proxy.username),
  password: decodeURIComponent(proxy.password),
});
for (const url of process.argv.slice(2)) {
  const answer = await page.goto(url);
  if (!answer.ok()) throw new Error(`${url}: ${answer.status()}`);
  console.log(await answer.text());
}
await browser.close();
