import asyncio


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    coroutine, said = asyncio.current_task().get_coro(), []
    for call in (
        lambda: coroutine.send(None), lambda: coroutine.throw(KeyError()), coroutine.close, lambda: next(coroutine),
    ):
        try:
            call()
        except Exception as e:
            said.append(type(e).__name__)
    said.append(str(coroutine.cr_running))
    await asyncio.sleep(0)
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": " ".join(said).encode()})
