#!/usr/bin/env python3
"""Django's commands: `python3 manage.py shell`, `makemigrations`, `changepassword admin` ..."""
import os
import sys

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "guestbook.settings")
execute_from_command_line(sys.argv)
