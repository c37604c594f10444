"""Ask for each target through the proxy, answering its 407 with requests' Digest.

usage: client.py proxy-host proxy-port user password method target...
"""
import http.client
import re
import sys

from requests.auth import HTTPDigestAuth
from requests.utils import parse_dict_header

host, port, user, password, method, *targets = sys.argv[1:]
auth = HTTPDigestAuth(user, password)
auth.init_per_thread_state()
for target in targets:
    headers = {}
    for _ in range(2):
        connection = http.client.HTTPConnection(host, int(port))
        connection.request(method, target, headers=headers)
        response = connection.getresponse()
        response.read()
        connection.close()
        if response.status != 407:
            break
        # As requests merges repeated headers, and as requests_toolbelt's
        # HTTPProxyDigestAuth reads them.
        merged = ", ".join(response.headers.get_all("Proxy-Authenticate"))
        auth._thread_local.chal = parse_dict_header(re.sub("digest ", "", merged, count=1, flags=re.I))
        headers = {"Proxy-Authorization": auth.build_digest_header(method, target)}
    assert response.status == 200, (target, response.status, headers)
