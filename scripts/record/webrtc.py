"""A WebRTC call of some seconds with audio, video and a data channel, for calls.sh.

webrtc.py answer ADDRESS SECONDS                             waits for offers on TCP port 9999 of ADDRESS
webrtc.py offer ADDRESS SECONDS [TURN-URI USER PASSWORD]
"""

import asyncio
import json
import sys

from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack

PORT = 9999


class SmallVideo(VideoStreamTrack):
    """Green pictures, small ones and few."""

    async def recv(self):
        frame = (await super().recv()).reformat(width=160, height=120)
        await asyncio.sleep(0.2)
        return frame


def described(connection):
    description = connection.localDescription
    return json.dumps({"sdp": description.sdp, "type": description.type}).encode() + b"\n"


async def drain(track):
    try:
        while True:
            await track.recv()
    except Exception:
        pass


def prepared(configuration=None):
    connection = RTCPeerConnection(configuration)
    connection.on("track", lambda track: asyncio.ensure_future(drain(track)))
    return connection


async def answer(address, seconds):
    async def on_offer(reader, writer):
        connection = prepared()
        connection.on("datachannel", lambda channel: channel.on("message", channel.send))
        await connection.setRemoteDescription(RTCSessionDescription(**json.loads(await reader.readline())))
        connection.addTrack(AudioStreamTrack())
        connection.addTrack(SmallVideo())
        await connection.setLocalDescription(await connection.createAnswer())
        writer.write(described(connection))
        await writer.drain()
        await asyncio.sleep(float(seconds) + 2)
        await connection.close()

    async with await asyncio.start_server(on_offer, address, PORT, limit=1 << 20) as running:
        await running.serve_forever()


async def offer(address, seconds, uri=None, user=None, password=None):
    servers = [RTCIceServer(uri, user, password)] if uri else []
    connection = prepared(RTCConfiguration(servers))
    connection.addTrack(AudioStreamTrack())
    connection.addTrack(SmallVideo())
    channel = connection.createDataChannel("chat")
    channel.on("open", lambda: channel.send("hello " * 20))
    await connection.setLocalDescription(await connection.createOffer())
    reader, writer = await asyncio.open_connection(address, PORT, limit=1 << 20)
    writer.write(described(connection))
    await connection.setRemoteDescription(RTCSessionDescription(**json.loads(await reader.readline())))
    for _ in range(200):
        if connection.connectionState == "connected":
            break
        await asyncio.sleep(0.1)
    else:
        sys.exit(f"not connected: {connection.connectionState}")
    await asyncio.sleep(float(seconds))
    await connection.close()


if __name__ == "__main__":
    asyncio.run({"answer": answer, "offer": offer}[sys.argv[1]](*sys.argv[2:]))
