"""Flask, which leaves sending files to its server."""
import os
import sys

from flask import Flask, send_file, send_from_directory

application = Flask(__name__)
application.config["USE_X_SENDFILE"] = True
folder = sys.argv[1]


@application.route("/file")
def one():
    return send_file(os.path.join(folder, "one.txt"), as_attachment=True, download_name="x.dat", max_age=60)


@application.route("/below/<path:name>")
def below(name):
    return send_from_directory(folder, name)


PATHS = [("/", application)]
