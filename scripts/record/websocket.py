"""A WebSocket server and client, for web.sh: in the clear on port 80, over TLS on port 443.

websocket.py server ADDRESS CERTIFICATE KEY
websocket.py client NAME CA
"""

import asyncio
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve


async def echo(connection):
    async for message in connection:
        await connection.send(message)


async def server(address, certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    async with serve(echo, address, 80), serve(echo, address, 443, ssl=context):
        await asyncio.Future()


async def client(name, ca):
    context = ssl.create_default_context(cafile=ca)
    for uri, tls in ((f"ws://{name}/?v=10&encoding=json", None), (f"wss://{name}/?v=10&encoding=json", context)):
        async with connect(uri, ssl=tls, origin="https://discord.com") as connection:
            for message in ('{"op": 1, "d": null}', b"\x00\x01" * 300, '{"op": 1, "d": 7}'):
                await connection.send(message)
                await connection.recv()


if __name__ == "__main__":
    asyncio.run({"server": server, "client": client}[sys.argv[1]](*sys.argv[2:]))
