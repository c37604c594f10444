"""Sends GETs and POSTs through the proxy with requests and requests_toolbelt's Digest for proxies, each over a connection of its own.

usage: requests_client.py PROXY_URL USER PASSWORD URL COUNT
It prints how many were answered with 200 and how many challenges that took.
"""
import sys

import requests
from requests_toolbelt.auth.http_proxy_digest import HTTPProxyDigestAuth

proxy, user, password, url, count = sys.argv[1:]
auth = HTTPProxyDigestAuth(user, password)
served = challenges = 0
for i in range(int(count)):
    with requests.Session() as session:
        session.trust_env = False
        session.proxies = {"http": proxy}
        body = b"x" * 10_000 if i % 4 == 3 else None
        response = session.request("POST" if body else "GET", url, auth=auth, data=body, timeout=30)
        challenges += sum(earlier.status_code == 407 for earlier in response.history)
        if response.status_code != 200:
            sys.exit(f"request {i}: {response.status_code} {response.text!r}")
        served += 1
print(served, challenges)
