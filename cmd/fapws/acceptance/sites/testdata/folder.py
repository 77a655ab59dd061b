"""A directory with the arguments of Staticfile that the test passes as JSON."""
import json
import sys
from fapws.contrib.views import Staticfile

PATHS = [("/", Staticfile(sys.argv[1], **json.loads(sys.argv[2])))]
