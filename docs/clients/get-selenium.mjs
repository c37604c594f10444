import { Browser, Builder } from 'selenium-webdriver';
import chrome from 'selenium-webdriver/chrome.js';

const proxy = new URL(process.env.PROXY);
const options = new chrome.Options()
  .addArguments('--headless=new', `--proxy-server=${proxy.protocol}//${proxy.host}`)
  .setChromeBinaryPath(process.env.CHROMIUM);
const driver = await new Builder().forBrowser(Browser.CHROME).setChromeOptions(options).build();
try {
  await driver.register(
    decodeURIComponent(proxy.username),
    decodeURIComponent(proxy.password),
    await driver.createCDPConnection('page'),
  );
  for (const url of process.argv.slice(2)) {
    await driver.get(url);
    console.log(await driver.getPageSource());
  }
} finally {
  await driver.quit();
}
