"""A Starlette application that responds with JSON."""
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route


async def hello(request):
    return PlainTextResponse("Hello world!!")


async def answer(request):
    return JSONResponse({"message": "Hello, World!"})


application = Starlette(routes=[Route("/hello", hello), Route("/json", answer)])
