"""Pyramid: a wiki of text files, with routes, views, redirects, static files.

./build.sh run samples/pyramid/app.py      then open http://127.0.0.1:8888/
"""
import os
from html import escape
from pathlib import Path

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPBadRequest, HTTPNotFound, HTTPSeeOther
from pyramid.response import Response
from pyramid.view import notfound_view_config, view_config

HERE = Path(__file__).resolve().parent
PAGES = HERE / "pages"


def page(request, title, body, status=200):
    style = request.static_url(f"{HERE}/static/style.css")
    return Response(
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{escape(title)}</title><link rel=stylesheet href='{style}'><h1>{escape(title)}</h1>{body}</html>",
        status=status,
    )


def file_of(request):
    # The route matches only letters, digits and "_", so a name cannot leave the directory.
    return PAGES / (request.matchdict["name"] + ".txt")


@view_config(route_name="start")
def start(request):
    return HTTPSeeOther(request.route_url("page", name="Start"))


@view_config(route_name="page", request_method="GET")
def show(request):
    try:
        text = file_of(request).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise HTTPNotFound() from None  # shown by not_found(), below
    edit, index = request.route_path("edit", **request.matchdict), request.route_path("index")
    return page(
        request, request.matchdict["name"],
        f"<pre>{escape(text)}</pre><p><a href={edit}>Edit</a> · <a href={index}>All pages</a>",
    )


@view_config(route_name="edit", request_method="GET")
def edit(request):
    file = file_of(request)
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return page(
        request,
        "Edit " + request.matchdict["name"],
        f"<form method=post><textarea name=text rows=12>{escape(text)}</textarea><button>Save</button></form>",
    )


@view_config(route_name="edit", request_method="POST")
def save(request):
    if "text" not in request.POST:
        raise HTTPBadRequest("The form has no text.")
    file = file_of(request)
    # The new file replaces the old file in one step, so every reader gets a complete page.
    new = file.with_suffix(f".{os.getpid()}")
    new.write_text(request.POST["text"].replace("\r\n", "\n"), encoding="utf-8")
    new.replace(file)
    return HTTPSeeOther(request.route_url("page", **request.matchdict))


@view_config(route_name="index", renderer="json")
def index(request):
    return {"pages": sorted(file.stem for file in PAGES.glob("*.txt"))}


@view_config(route_name="fails")
def fails(request):
    raise RuntimeError("this view always fails")  # a traceback in the log, a 500 for the client


@notfound_view_config()
def not_found(request):
    return page(request, "Not found", f"<p>There is nothing at {escape(request.path)}.", 404)


with Configurator() as config:
    config.add_static_view("static", f"{HERE}/static", cache_max_age=3600)
    config.add_route("start", "/")
    config.add_route("index", "/pages.json")
    config.add_route("fails", "/fails")
    config.add_route("page", r"/wiki/{name:\w+}")
    config.add_route("edit", r"/wiki/{name:\w+}/edit")
    config.scan(__name__)  # finds the view_config above
    application = config.make_wsgi_app()
