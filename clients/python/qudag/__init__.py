"""Messages and requests through a QuDAG Net node, over its local API (asyncio, no dependency).

    async with qudag.connect() as node:
        outcome = await node.send(to, b"hello")
        async for message in node.receive():
            print(message.payload)
            await message.taken()
"""

from .errors import ApiError, ConnectionLost, QudagError
from .node import Delivery, Message, Node, connect, default_socket

__all__ = ["ApiError", "ConnectionLost", "Delivery", "Message", "Node", "QudagError", "connect",
           "default_socket"]
