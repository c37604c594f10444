import os, sys

import httpx

with httpx.Client(mounts={"all://": httpx.HTTPTransport(proxy=httpx.Proxy(os.environ["PROXY"]))}) as client:
    for url in sys.argv[1:]:
        answer = client.get(url)
        answer.raise_for_status()
        print(answer.text)
