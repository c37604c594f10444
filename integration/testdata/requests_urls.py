"""Asks for each URL with requests and requests_toolbelt's Digest for proxies.

usage: requests_urls.py PROXY_URL USER PASSWORD URL...
It prints a status a line.
"""
import sys

import requests
from requests_toolbelt.auth.http_proxy_digest import HTTPProxyDigestAuth

proxy, user, password, *urls = sys.argv[1:]
with requests.Session() as session:
    session.trust_env = False
    session.proxies = {"http": proxy}
    for url in urls:
        try:
            print(session.get(url, auth=HTTPProxyDigestAuth(user, password), timeout=30).status_code)
        except OSError as error:
            print(error)
