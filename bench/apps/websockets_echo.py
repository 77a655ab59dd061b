"""A WebSocket server with the Python library websockets. It echoes all messages, and listens at argv[1]:argv[2]."""
import asyncio
import sys

import uvloop
import websockets


async def echo(socket, path=None):
    async for message in socket:
        await socket.send(message)


async def main():
    async with websockets.serve(echo, sys.argv[1], int(sys.argv[2])):
        await asyncio.Future()


uvloop.install()
asyncio.run(main())
