from bottle import BaseRequest, Bottle, request

BaseRequest.MEMFILE_MAX = 1 << 24
app = Bottle()


@app.post("/raw")
def raw():
    body = request.body.read()
    return "%d bytes, first %s" % (len(body), body[:3].decode())


@app.post("/form")
def form():
    return "%s, file %d" % (request.forms.field, len(request.files.file.file.read()))


@app.post("/json")
def json():
    return str(len(request.json["list"]))
