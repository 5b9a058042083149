"""Logs in, says hello, logs out, for messages.sh: xmpp.py FROM TO starttls|plain."""

import asyncio
import ssl
import sys

import slixmpp


class Client(slixmpp.ClientXMPP):
    def __init__(self, sender, recipient):
        super().__init__(sender, "secret")
        self.add_event_handler("session_start", self.talk)
        self.recipient = recipient
        self.done = asyncio.get_running_loop().create_future()

    async def talk(self, _event):
        self.send_presence()
        await self.get_roster()
        self.send_message(mto=self.recipient, mbody="hello")
        await asyncio.sleep(0.5)
        await self.disconnect()
        self.done.set_result(None)


async def main(sender, recipient, how):
    client = Client(sender, recipient)
    client.ssl_context.check_hostname = False
    client.ssl_context.verify_mode = ssl.CERT_NONE
    client.enable_direct_tls = False
    client.enable_starttls = how == "starttls"
    client.enable_plaintext = how == "plain"
    client["feature_mechanisms"].unencrypted_plain = True
    client["feature_mechanisms"].unencrypted_scram = True
    client.connect()
    await asyncio.wait_for(client.done, 10)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
