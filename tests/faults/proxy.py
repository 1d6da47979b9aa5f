"""A TCP proxy that makes faults: it cuts connections, goes silent on them, and is slow."""

import asyncio
import contextlib
import functools

CHUNK = 65_536


class FaultProxy:
    """Listens on ``port`` of the loopback address and forwards to ``target``'s port.

    ``delay``: so many seconds each piece of data waits, either way.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.delay = 0.0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._link, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_error):
        self._server.close()
        self.cut()
        await asyncio.gather(*[each.task for each in self._links], return_exceptions=True)

    def __len__(self) -> int:
        """How many connections there are, silent ones too."""
        return len(self._links)

    def cut(self, share: float = 1.0) -> None:
        """Reset that share of the connections, the oldest first, at both ends; silent ones too."""
        for link in self._oldest(self._links, share):
            link.abort()

    def half_open(self, share: float = 1.0) -> None:
        """Forward nothing more on that share of the connections, without a word to either end.

        Neither does the proxy read from them, or tell one end that the other has gone.
        """
        for link in self._oldest([each for each in self._links if not each.is_silent], share):
            link.is_silent = True

    @staticmethod
    def _oldest(links, share):
        return sorted(links, key=lambda each: each.at)[: round(len(links) * share)]

    async def _link(self, reader, writer):
        link = _Link(writer, asyncio.current_task())
        self._links.add(link)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                answers, asks = await asyncio.open_connection("127.0.0.1", self.target)
                link.ends.append(asks)
                forward = functools.partial(self._forward, link)
                await asyncio.gather(forward(reader, asks), forward(answers, writer))
        finally:
            link.close()
            self._links.discard(link)

    async def _forward(self, link, reader, writer):
        while data := await reader.read(CHUNK):
            if self.delay:
                await asyncio.sleep(self.delay)
            if link.is_silent:
                break
            writer.write(data)
            await writer.drain()
        if link.is_silent:
            await asyncio.Future()  # until it is cut
        with contextlib.suppress(OSError, RuntimeError):
            writer.write_eof()


class _Link:
    """A connection to the proxy, and the one that it made for it."""

    def __init__(self, writer, task):
        self.ends, self.task = [writer], task
        self.at = asyncio.get_running_loop().time()
        self.is_silent = False

    def abort(self):
        for end in self.ends:
            end.transport.abort()
        self.task.cancel()

    def close(self):
        for end in self.ends:
            end.close()
