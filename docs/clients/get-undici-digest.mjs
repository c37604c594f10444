import { fetch, ProxyAgent } from 'undici';
import { address, connect } from './digest.mjs';

// A tunnel's header is for one host. Plain requests go through a tunnel too.
const agent = async url => new ProxyAgent({ uri: address, token: await connect(url), proxyTunnel: true });

for (const url of process.argv.slice(2)) {
  const dispatcher = await agent(url);
  const answer = await fetch(url, { dispatcher });
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  console.log(await answer.text());
  await dispatcher.close();
}
