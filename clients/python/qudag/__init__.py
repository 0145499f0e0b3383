"""Messages, requests and pipes through a QuDAG Net node, over its local API (asyncio, no dependency).

    async with qudag.connect() as node:
        outcome = await node.send(to, b"hello")
        async for message in node.receive():
            print(message.payload)
            await message.taken()
"""

from .errors import ApiError, ConnectionLost, QudagError
from .link import Delivery, Message
from .node import Node, connect, default_socket
from .pipe import PipeReader, PipeWriter

__all__ = ["ApiError", "ConnectionLost", "Delivery", "Message", "Node", "PipeReader", "PipeWriter",
           "QudagError", "connect", "default_socket"]
