import falcon


class Raw:
    def on_post(self, req, resp):
        body = req.bounded_stream.read()
        resp.text = "%d bytes, first %s" % (len(body), body[:3].decode())


class Form:
    def on_post(self, req, resp):
        got = {}
        for part in req.get_media():
            got[part.name] = part.stream.read()
        resp.text = "%s, file %d" % (got["field"].decode(), len(got["file"]))


class Json:
    def on_post(self, req, resp):
        resp.text = str(len(req.get_media()["list"]))


app = falcon.App()
app.req_options.media_handlers[falcon.MEDIA_MULTIPART] = falcon.media.MultipartFormHandler()
app.req_options.media_handlers[falcon.MEDIA_MULTIPART].parse_options.max_body_part_buffer_size = 1 << 24
app.add_route("/raw", Raw())
app.add_route("/form", Form())
app.add_route("/json", Json())
