"""An HTTP/3 server and client of a few lines, for scripts/record-captures.sh (needs aioquic).

http3.py server ADDRESS PORT CERTIFICATE KEY
http3.py client ADDRESS PORT NAME CA
"""

import asyncio
import ssl
import sys

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import serve
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration

BODY = b"x" * 20_000


class Http3(QuicConnectionProtocol):
    """Answers every request with BODY; on the client's side waits for the answer's end."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.http = H3Connection(self._quic)
        self.finished = asyncio.get_running_loop().create_future()

    def quic_event_received(self, event):
        for found in self.http.handle_event(event):
            if self._quic.configuration.is_client:
                if isinstance(found, DataReceived) and found.stream_ended:
                    self.finished.set_result(None)
            elif isinstance(found, HeadersReceived):
                self.http.send_headers(found.stream_id, [(b":status", b"200")])
                self.http.send_data(found.stream_id, BODY, end_stream=True)
                self.transmit()

    async def get(self, name):
        stream = self._quic.get_next_available_stream_id()
        request = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", name.encode()), (b":path", b"/")]
        self.http.send_headers(stream, request, end_stream=True)
        self.transmit()
        await asyncio.wait_for(self.finished, 10)


async def server(address, port, certificate, key):
    configuration = QuicConfiguration(alpn_protocols=H3_ALPN, is_client=False)
    configuration.load_cert_chain(certificate, key)
    await serve(address, int(port), configuration=configuration, create_protocol=Http3)
    await asyncio.Future()


async def client(address, port, name, ca):
    configuration = QuicConfiguration(
        alpn_protocols=H3_ALPN, is_client=True, server_name=name, verify_mode=ssl.CERT_REQUIRED
    )
    configuration.load_verify_locations(ca)
    async with connect(address, int(port), configuration=configuration, create_protocol=Http3) as http3:
        await http3.get(name)


if __name__ == "__main__":
    asyncio.run({"server": server, "client": client}[sys.argv[1]](*sys.argv[2:]))
