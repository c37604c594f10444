import sys

import scrapy
from scrapy.crawler import CrawlerProcess

import digest


class Digest:
    """A downloader middleware behind Scrapy's own for proxies, which is at 750."""

    def process_request(self, request, spider):
        request.meta["proxy"] = digest.address
        request.headers["Proxy-Authorization"] = digest.sign(request.method, request.url)


class Pages(scrapy.Spider):
    name = "pages"

    def start_requests(self):
        for url in sys.argv[1:]:
            yield scrapy.Request(url, dont_filter=True)

    def parse(self, response):
        print(response.text)


process = CrawlerProcess({"LOG_LEVEL": "ERROR", "DOWNLOADER_MIDDLEWARES": {Digest: 760}})
process.crawl(Pages)
process.start()
