// NODE_USE_ENV_PROXY=1, or node --use-env-proxy, has fetch read http_proxy and https_proxy.
for (const url of process.argv.slice(2)) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  console.log(await answer.text());
}
