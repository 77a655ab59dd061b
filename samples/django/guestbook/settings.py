"""Settings for serving: no DEBUG, and a secret that is not in the repository."""
import os
import secrets
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent


def shared_secret(file):
    """Returns a secret that stays the same over restarts and in all worker processes."""
    if not file.exists():
        mine = file.with_name(f"{file.name}.{os.getpid()}")
        mine.write_text(secrets.token_hex(32))
        mine.chmod(0o600)
        try:
            # link() creates the complete file in one step. It fails if a different worker has already created the file.
            os.link(mine, file)
        except FileExistsError:
            pass
        mine.unlink()
    return file.read_text()


DEBUG = False
SECRET_KEY = shared_secret(HERE / "guestbook.secret")
ALLOWED_HOSTS = ["*"]  # list the host names of your site here

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "guestbook",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

ROOT_URLCONF = "guestbook.urls"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": HERE / "guestbook.sqlite3",
        "OPTIONS": {"timeout": 20},  # seconds to wait for another writer
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

STATIC_URL = "/static/"
USE_TZ = True

# Errors in views go to stderr, which is the error log of the server.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "loggers": {"django.request": {"handlers": ["stderr"], "level": "ERROR"}},
}
