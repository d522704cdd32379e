"""A server that answers its requests, in the order in which they come, with what a script says."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from loadtest.wire.targets import Target

LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@dataclass(frozen=True)
class Step:
    """Bytes to write, each part on its own, and whether the connection is closed then."""

    parts: tuple[bytes, ...] = (OK,)
    closes: bool = False


@dataclass
class ScriptedServer:
    """`served` holds the number of the connection on which each request came, from 0; `messages` the requests
    themselves. `num_open` connections have not been closed by the client."""

    script: list[Step]
    target: Target = field(init=False)
    num_connections: int = 0
    num_open: int = 0
    served: list[int] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    tasks: set["asyncio.Task[None] | None"] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, self.num_connections = self.num_connections, self.num_connections + 1
        self.num_open += 1
        self.tasks.add(asyncio.current_task())
        try:
            while message := await read_message(reader):
                self.served.append(number)
                self.messages.append(message)
                step = self.script.pop(0)
                for part in step.parts:
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(0.005)
                if step.closes:
                    break
        except OSError:
            pass
        finally:
            self.num_open -= 1
            writer.close()


async def read_message(reader: asyncio.StreamReader) -> bytes:
    """Empty at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
    length = LENGTH.search(head)
    return head + await reader.readexactly(int(length[1]) if length else 0)


@asynccontextmanager
async def scripted(script: Sequence[Step]) -> AsyncIterator[ScriptedServer]:
    server = ScriptedServer(list(script))
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.target = Target(protocol="http", host="127.0.0.1", port=listening.sockets[0].getsockname()[1])
    try:
        yield server
    finally:
        listening.close()
        if server.tasks:
            await asyncio.wait(server.tasks, timeout=5)
