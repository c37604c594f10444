"""Asks for each URL with urllib, which prints a status a line or its error.

usage: urllib_urls.py OFFER PROXY_URL USER PASSWORD URL...
OFFER is the challenge that urllib gets to see: "first", as it is, or "last", the one for MD5.
"""
import http.client
import sys
import urllib.error
import urllib.request

offer, proxy, user, password, *urls = sys.argv[1:]


class Passwords:
    """The same user for every realm and URL: urllib looks the proxy's up by the requested one."""

    def add_password(self, realm, uri, user, password):
        pass

    def find_user_password(self, realm, uri):
        return user, password


class Digest(urllib.request.ProxyDigestAuthHandler):
    def http_error_407(self, request, file, code, message, headers):
        if offer == "last":
            offers = headers.get_all("Proxy-Authenticate")
            del headers["Proxy-Authenticate"]
            headers["Proxy-Authenticate"] = offers[-1]
        return super().http_error_407(request, file, code, message, headers)


handler = urllib.request.ProxyHandler({"http": proxy, "https": proxy})
opener = urllib.request.build_opener(handler, Digest(Passwords()))
for url in urls:
    try:
        print(opener.open(url, timeout=30).status)
    except urllib.error.HTTPError as error:
        print(error.code)
    except (OSError, ValueError, http.client.HTTPException) as error:
        print(error)
