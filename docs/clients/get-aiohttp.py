import asyncio, os, sys

import aiohttp


async def main():
    # aiohttp 3.11 sends no credentials for http:// on a connection that it uses again.
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector, raise_for_status=True) as session:
        for url in sys.argv[1:]:
            async with session.get(url, proxy=os.environ["PROXY"]) as answer:
                print(await answer.text())


asyncio.run(main())
