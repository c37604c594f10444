import sys

import httpx

import digest


class Digest(httpx.BaseTransport):
    """Signs each request, and gives it a connection of its own."""

    def handle_request(self, request):
        header = {"Proxy-Authorization": digest.sign(request.method, str(request.url))}
        with httpx.HTTPTransport(proxy=httpx.Proxy(digest.address, headers=header)) as transport:
            answer = transport.handle_request(request)
            answer.read()
            return answer


with httpx.Client(transport=Digest()) as client:
    for url in sys.argv[1:]:
        answer = client.get(url)
        answer.raise_for_status()
        print(answer.text)
