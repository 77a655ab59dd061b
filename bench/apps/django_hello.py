"""Hello world with Django, in one file and without debug.

The only middleware is CommonMiddleware. It sets Content-Length, so that every server can keep connections open.
"""

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

settings.configure(
    SECRET_KEY="of a benchmark",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
)


def hello(request):
    return HttpResponse("Hello world!!", content_type="text/plain")


urlpatterns = [path("hello", hello)]

application = get_wsgi_application()
