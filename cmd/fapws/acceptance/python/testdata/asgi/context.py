"""Sets context variables while it is imported, and in each request."""
import asyncio
import contextvars
import threading

variable = contextvars.ContextVar("variable", default="unset")
variable.set("import")


async def answer(send, text):
    body = text.encode()
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]}
    )
    await send({"type": "http.response.body", "body": body})


def of_thread():
    return f"{variable.get()} in another thread: {threading.current_thread() is not main}"


async def app(scope, receive, send):
    global main
    if scope["type"] == "lifespan":
        variable.set("lifespan")
        while True:
            event = await receive()
            await send({"type": event["type"] + ".complete"})
            if event["type"] == "lifespan.shutdown":
                return
    main = threading.current_thread()
    begin = variable.get()
    name = scope["query_string"].decode()
    variable.set(name)
    if scope["path"] == "/steps":
        for _ in range(20):
            await asyncio.sleep(0.002)
            assert variable.get() == name, variable.get()
            await asyncio.gather(child(name), asyncio.create_task(child(name)))
        text = f"{begin} {variable.get()}"
    elif scope["path"] == "/thread":
        context = contextvars.copy_context()
        text = await asyncio.get_running_loop().run_in_executor(None, context.run, of_thread)
    elif scope["path"] == "/receive":
        await receive()
        text = f"{begin} {variable.get()}"
    elif scope["path"] == "/task":
        task = asyncio.current_task()
        context = variable.get()
        await asyncio.sleep(0)
        text = (
            f"{type(task).__name__} {asyncio.current_task() is task} {context == variable.get()}"
            f" {asyncio.get_running_loop() is task.get_loop()} {asyncio.iscoroutine(task.get_coro())}"
        )
    elif scope["path"] == "/timeout":
        try:
            await asyncio.wait_for(receive_twice(receive), 0.05)
        except asyncio.TimeoutError:
            text = f"timeout {variable.get()}"
    await answer(send, text)


async def child(name):
    assert variable.get() == name
    variable.set("child")
    await asyncio.sleep(0)


async def receive_twice(receive):
    await receive()
    await receive()
