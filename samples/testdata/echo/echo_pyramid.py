from pyramid.config import Configurator
from pyramid.response import Response


def raw(request):
    return Response("%d bytes, first %s" % (len(request.body), request.body[:3].decode()))


def form(request):
    return Response("%s, file %d" % (request.POST["field"], len(request.POST["file"].file.read())))


def json(request):
    return Response(str(len(request.json_body["list"])))


with Configurator() as config:
    for view in (raw, form, json):
        config.add_route(view.__name__, "/" + view.__name__)
        config.add_view(view, route_name=view.__name__)
    application = config.make_wsgi_app()
