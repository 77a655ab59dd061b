from flask import Flask, request

app = Flask(__name__)


@app.post("/raw")
def raw():
    return "%d bytes, first %s" % (len(request.get_data()), request.get_data()[:3].decode())


@app.post("/form")
def form():
    return "%s, file %d" % (request.form["field"], len(request.files["file"].read()))


@app.post("/json")
def json():
    return str(len(request.get_json()["list"]))
