import os, sys

import scrapy
from scrapy.crawler import CrawlerProcess


class Pages(scrapy.Spider):
    name = "pages"

    def start_requests(self):
        for url in sys.argv[1:]:
            yield scrapy.Request(url, meta={"proxy": os.environ["PROXY"]}, dont_filter=True)

    def parse(self, response):
        print(response.text)


process = CrawlerProcess({"LOG_LEVEL": "ERROR"})
process.crawl(Pages)
process.start()
