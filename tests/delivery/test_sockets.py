"""Sockets that end on the other side of the application."""

import asyncio

from apps.delivery.sockets import FAILED, GuardedConsumer


def test_socket__closed_by_the_web_server__is_ended_without_an_error():
    """As uvicorn does it for who answers no ping; it then refuses whatever is sent (RuntimeError)."""
    sent = []

    async def refuse(message):
        sent.append(message["type"])
        raise RuntimeError("Unexpected ASGI message, after sending 'websocket.close'.")

    async def speak():
        consumer = GuardedConsumer()
        consumer.begin()
        consumer.base_send = refuse
        await consumer.say("one")
        await consumer.say("two")
        await consumer.end(FAILED)
        other = GuardedConsumer()
        other.begin()
        other.base_send = refuse
        await other.end(FAILED)

    asyncio.run(speak())

    assert sent == ["websocket.send", "websocket.close"]


def test_socket__task_that_closes_it_is_cancelled_while_the_client_is_slow__closes_all_the_same():
    sent = []

    async def speak():
        reads_on = asyncio.Event()

        async def send(message):
            await reads_on.wait()
            sent.append((message["type"], message["code"]))

        consumer = GuardedConsumer()
        consumer.begin()
        consumer.base_send = send
        ending = asyncio.create_task(consumer.end(FAILED))
        await asyncio.sleep(0)
        ending.cancel()
        await asyncio.wait({ending})
        reads_on.set()
        await consumer.closing

    asyncio.run(speak())

    assert sent == [("websocket.close", FAILED)]
