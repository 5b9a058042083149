"""A gRPC service that answers what it is asked, and its client, for web.sh.

grpc_echo.py server|client ADDRESS:PORT
"""

import sys
import time

import grpc

METHOD = "/lab.Echo/Say"


class Echo(grpc.GenericRpcHandler):
    def service(self, details):
        if details.method == METHOD:
            return grpc.unary_unary_rpc_method_handler(lambda request, context: request)
        return None


def server(target):
    from concurrent.futures import ThreadPoolExecutor

    running = grpc.server(ThreadPoolExecutor(2), handlers=[Echo()])
    running.add_insecure_port(target)
    running.start()
    running.wait_for_termination()


def client(target):
    with grpc.insecure_channel(target) as channel:
        say = channel.unary_unary(METHOD)
        for number in range(3):
            say(b"hello %d" % number, timeout=5)
            time.sleep(0.1)


if __name__ == "__main__":
    {"server": server, "client": client}[sys.argv[1]](*sys.argv[2:])
