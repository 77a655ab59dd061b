import json as json_module

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x", USE_TZ=True)
django.setup()


def raw(request):
    return HttpResponse("%d bytes, first %s" % (len(request.body), request.body[:3].decode()))


def form(request):
    return HttpResponse("%s, file %d" % (request.POST["field"], len(request.FILES["file"].read())))


def json(request):
    return HttpResponse(str(len(json_module.load(request)["list"])))


urlpatterns = [path("raw", raw), path("form", form), path("json", json)]
application = get_wsgi_application()
