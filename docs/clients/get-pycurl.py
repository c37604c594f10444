import os, sys
from io import BytesIO

import pycurl

curl = pycurl.Curl()
curl.setopt(pycurl.PROXY, os.environ["PROXY"])
curl.setopt(pycurl.PROXYAUTH, pycurl.HTTPAUTH_ANY)  # Basic or Digest, as the proxy asks
curl.setopt(pycurl.FAILONERROR, True)
for url in sys.argv[1:]:
    body = BytesIO()
    curl.setopt(pycurl.URL, url)
    curl.setopt(pycurl.WRITEDATA, body)
    curl.perform()
    print(body.getvalue().decode())
