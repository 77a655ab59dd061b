"""Django: its admin, a form with a model in SQLite, an async view.

fapws wsgi.py      then open http://127.0.0.1:8888/

The first start creates guestbook.sqlite3 next to this file, and prints the password
of the user "admin" for http://127.0.0.1:8888/admin/.
"""
import fcntl
import os
import secrets
import sys
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "guestbook.settings")

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application

# The admin's styles and scripts are files of a Python package. Without DEBUG, Django does not serve them, but
# StaticFilesHandler does, as files that the server may send itself (wsgi.file_wrapper).
application = StaticFilesHandler(get_wsgi_application())


def prepare_database():
    """Does the work of `manage.py migrate` and `createsuperuser`, if it is not done yet."""
    from django.contrib.auth import get_user_model

    call_command("migrate", verbosity=0)
    users = get_user_model().objects
    if not users.filter(username="admin").exists():
        password = os.environ.get("DJANGO_SUPERUSER_PASSWORD") or secrets.token_urlsafe(9)
        users.create_superuser("admin", password=password)
        print(f"guestbook: user admin has the password {password}", file=sys.stderr)


# The lock makes workers that load this module at the same time run the following code one after the other.
with open(Path(__file__).with_name("guestbook.lock"), "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    prepare_database()
