// Digest for clients that send the header they are given. It needs digest=fleet.
import { createHash, randomBytes } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';

const proxy = new URL(process.env.PROXY);
export const address = `${proxy.protocol}//${proxy.host}`;
const user = decodeURIComponent(proxy.username);
const password = decodeURIComponent(proxy.password);
let nonce, until = 0, count = 0;

// connect returns Proxy-Authorization for a tunnel to a URL's host.
export async function connect(url) {
  if (Date.now() > until) { // a nonce is good for 30 minutes, on every task
    nonce = await challenge();
    [until, count] = [Date.now() + 25 * 60_000, 0];
  }
  const to = new URL(url);
  const target = `${to.hostname}:${to.port || (to.protocol === 'https:' ? 443 : 80)}`;
  const nc = (++count).toString(16).padStart(8, '0');
  const cnonce = randomBytes(8).toString('hex');
  const answer = sha256([
    sha256(`${user}:squidfleet:${password}`), nonce, nc, cnonce, 'auth', sha256(`CONNECT:${target}`),
  ].join(':'));
  return `Digest username="${user}", realm="squidfleet", nonce="${nonce}", uri="${target}", ` +
    `algorithm=SHA-256, qop=auth, nc=${nc}, cnonce="${cnonce}", response="${answer}"`;
}

function challenge() {
  const { get } = proxy.protocol === 'https:' ? https : http;
  return new Promise((resolve, reject) => {
    get({ host: proxy.hostname, port: proxy.port, path: 'http://example.com/' }, answer => {
      answer.resume();
      resolve(/nonce="(.*?)"/.exec(answer.headers['proxy-authenticate'])[1]);
    }).on('error', reject);
  });
}

function sha256(text) {
  return createHash('sha256').update(text).digest('hex');
}
