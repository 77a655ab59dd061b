package python_test

import (
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// Django does not serve static files without --dev, DEBUG, or the app staticfiles.
func TestDjangoServesItsStaticFilesWithDev(t *testing.T) {
	t.Parallel()
	venv := fapwstest.Today(t)
	script := fapwstest.Write(t, t.TempDir()+"/site.py", `
import os

import django
from django.conf import settings
from django.http import HttpResponse
from django.urls import path

settings.configure(
    DEBUG=os.environ["DEBUG"] == "1", SECRET_KEY="x", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, STATIC_URL="files/",
    INSTALLED_APPS=[
        "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.messages",
        "django.contrib.sessions",
    ] + os.environ["MORE"].split(),
)
urlpatterns = [path("", lambda request: HttpResponse("home"))]

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

wsgi = get_wsgi_application()
asgi = get_asgi_application()

async def router(scope, receive, send):
    await asgi(scope, receive, send)
`)
	for _, c := range []struct {
		object, debug, apps, flag string
		status                    int
	}{
		{"wsgi", "1", "django.contrib.staticfiles", "--dev", 200},
		{"router", "1", "django.contrib.staticfiles", "--dev", 200},
		{"wsgi", "1", "django.contrib.staticfiles", "--reload", 404},
		{"wsgi", "0", "django.contrib.staticfiles", "--dev", 404},
		{"wsgi", "1", "", "--dev", 404},
	} {
		s := fapwstest.Command{Script: script + ":" + c.object, Env: []string{"VIRTUAL_ENV=" + venv, "DEBUG=" + c.debug,
			"MORE=" + c.apps}, Flags: []string{c.flag}}.
			Serve(t, fapwstest.Threads)
		s.Get("/", 200).Is(t, "home")
		s.Get("/files/admin/css/base.css", c.status)
	}
}
