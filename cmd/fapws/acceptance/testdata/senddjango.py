"""Django with X-Accel-Redirect, as sites behind nginx have it."""
from urllib.parse import quote

from django.conf import settings

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x")

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpResponse, StreamingHttpResponse  # noqa: E402
from django.urls import path  # noqa: E402


def below(request, name):
    response = HttpResponse(b"dropped", headers={"X-Accel-Redirect": quote("/protected/" + name), "Content-Disposition": "attachment"})
    del response["Content-Type"]
    response.set_cookie("a", "b")
    return response


def stream(request):
    response = StreamingHttpResponse(iter([b"dropped"]))
    response["X-Accel-Redirect"] = "/protected/one.txt"
    return response


def where(request):
    return HttpResponse("%s %s" % (request.build_absolute_uri(), request.META["REMOTE_ADDR"]))


urlpatterns = [path("below/<path:name>", below), path("stream", stream), path("where", where)]
application = get_wsgi_application()
PATHS = [("/", application)]
