import os, sys
import urllib.request

proxies = {"http": os.environ["PROXY"], "https": os.environ["PROXY"]}
opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxies))
for url in sys.argv[1:]:
    print(opener.open(url).read().decode())
