import os, sys

import requests

session = requests.Session()
session.proxies = {"http": os.environ["PROXY"], "https": os.environ["PROXY"]}
for url in sys.argv[1:]:
    answer = session.get(url)
    answer.raise_for_status()
    print(answer.text)
