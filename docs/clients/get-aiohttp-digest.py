import asyncio, sys

import aiohttp

import digest


async def main():
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        for url in sys.argv[1:]:
            header = {"Proxy-Authorization": digest.sign("GET", url)}
            # proxy_headers go with the CONNECT of https://, and nowhere else.
            where = "proxy_headers" if url.startswith("https:") else "headers"
            async with session.get(url, proxy=digest.address, **{where: header}) as answer:
                print(await answer.text())


asyncio.run(main())
