"""A FastAPI application that responds with JSON."""
from fastapi import FastAPI

application = FastAPI()


@application.get("/hello")
async def hello():
    return "Hello world!!"


@application.get("/json")
async def answer():
    return {"message": "Hello, World!"}
