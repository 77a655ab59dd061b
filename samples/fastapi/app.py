"""FastAPI: an API with types, a page that documents it, and background tasks.

./build.sh run samples/fastapi/app.py      then open http://127.0.0.1:8888/docs

    curl -X POST -H 'Content-Type: application/json' -d '{"title": "Learn FastAPI", "due": "2030-01-31"}' \\
        http://127.0.0.1:8888/tasks
    curl http://127.0.0.1:8888/tasks?done=false
    curl -X POST http://127.0.0.1:8888/tasks/1/done
"""
import datetime
import itertools
from pathlib import Path
from typing import Dict, List, Optional

from fastapi import BackgroundTasks, FastAPI, HTTPException, Query
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

# FastAPI's own /docs loads its scripts from the internet, and Debian does not package
# them. This page needs no other files, and uses the same /openapi.json.
application = FastAPI(title="Tasks", version="1.0", docs_url=None, redoc_url=None)
DOCS = (Path(__file__).resolve().parent / "docs.html").read_text("utf-8")


class NewTask(BaseModel):
    title: str = Field(..., min_length=1, max_length=100)
    due: Optional[datetime.date] = None
    tags: List[str] = Field([], max_items=10)


class Task(NewTask):
    id: int
    done: bool = False


MOST = 1000  # maximum number of tasks in memory
tasks: Dict[int, Task] = {}
numbers = itertools.count(1)


@application.get("/", include_in_schema=False)
@application.get("/docs", include_in_schema=False)
async def docs():
    return HTMLResponse(DOCS)


@application.get("/tasks", response_model=List[Task], summary="All tasks")
async def all_tasks(done: Optional[bool] = None, limit: int = Query(100, ge=1, le=MOST)):
    return [task for task in tasks.values() if done is None or task.done == done][:limit]


@application.post("/tasks", response_model=Task, status_code=201, summary="A new task")
async def new_task(new: NewTask):
    if len(tasks) >= MOST:
        raise HTTPException(507, "there are too many tasks")
    task = Task(id=next(numbers), **new.dict())
    tasks[task.id] = task
    return task


def find(number: int) -> Task:
    if number not in tasks:
        raise HTTPException(404, f"there is no task {number}")
    return tasks[number]


@application.get("/tasks/{number}", response_model=Task, summary="One task")
async def one_task(number: int):
    return find(number)


@application.post("/tasks/{number}/done", response_model=Task, summary="Do a task")
def do_task(number: int, background: BackgroundTasks):
    """A plain function: FastAPI runs it on a thread."""
    task = find(number)
    task.done = True
    background.add_task(report, task)  # runs after the response was sent
    return task


def report(task: Task) -> None:
    print(f"done: {task.title}", flush=True)


@application.delete("/tasks/{number}", status_code=204, response_model=None, summary="Forget a task")
async def forget(number: int):
    del tasks[find(number).id]


@application.get("/fails", include_in_schema=False)
async def fails():
    raise RuntimeError("this operation always fails")  # a traceback in the log, a 500 for the client
