"""A mail server that throws letters away, for messages.sh: smtp_server.py ADDRESS CERTIFICATE KEY.

Port 25 is in the clear, port 587 wants STARTTLS.
"""

import asyncio
import ssl
import sys

from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP


async def main(address, certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: SMTP(Sink(), hostname="smtp.gmail.com", loop=loop), address, 25)
    await loop.create_server(
        lambda: SMTP(Sink(), hostname="smtp.gmail.com", tls_context=context, require_starttls=True, loop=loop),
        address,
        587,
    )
    await asyncio.Future()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
