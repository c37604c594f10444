import os, sys
from urllib.parse import unquote, urlsplit

import urllib3

proxy = urlsplit(os.environ["PROXY"])
headers = {}
if proxy.username:
    headers = urllib3.make_headers(proxy_basic_auth=f"{unquote(proxy.username)}:{unquote(proxy.password)}")
pool = urllib3.ProxyManager(f"{proxy.scheme}://{proxy.hostname}:{proxy.port}", proxy_headers=headers)
for url in sys.argv[1:]:
    answer = pool.request("GET", url)
    if answer.status != 200:
        sys.exit(f"{url}: {answer.status}")
    print(answer.data.decode())
