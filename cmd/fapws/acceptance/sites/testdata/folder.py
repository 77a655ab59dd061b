"""Serves a directory. The test passes the arguments of Staticfile as JSON."""
import json
import sys
from fapws.contrib.views import Staticfile

PATHS = [("/", Staticfile(sys.argv[1], **json.loads(sys.argv[2])))]
