import sys

import requests

import digest


class Digest(requests.adapters.HTTPAdapter):
    """Signs each request, and gives it a connection of its own."""

    def send(self, request, **options):
        self.header = digest.sign(request.method, request.url)
        self.proxy_manager.clear()
        return super().send(request, **options)

    def proxy_headers(self, proxy):
        return {"Proxy-Authorization": self.header}


session = requests.Session()
session.proxies = {"http": digest.address, "https": digest.address}
session.mount("http://", Digest())
session.mount("https://", Digest())
for url in sys.argv[1:]:
    answer = session.get(url)
    answer.raise_for_status()
    print(answer.text)
