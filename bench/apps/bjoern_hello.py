"""hello on bjoern: HOST PORT FOLDER, where FOLDER has the module bjoern."""
import sys

sys.path.insert(0, sys.argv[3])
import bjoern

from hello import application

bjoern.run(application, sys.argv[1], int(sys.argv[2]))
