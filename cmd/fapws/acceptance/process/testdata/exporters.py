"""Sets up Sentry and OpenTelemetry in the module of the application, as their documentation says."""
import sys
import sentry_sdk
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from sentry_sdk.integrations.wsgi import SentryWsgiMiddleware

collector = sys.argv[1]
sentry_sdk.init(dsn="http://key@%s/1" % collector, auto_session_tracking=False)
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint="http://%s/v1/traces" % collector)))
trace.set_tracer_provider(provider)


def exception(environ, start_response):
    try:
        1 / 0
    except ZeroDivisionError:
        sentry_sdk.capture_exception()
    return "reported\n"


def span(environ, start_response):
    with trace.get_tracer("shop").start_as_current_span("order"):
        return "traced\n"


def raises(environ, start_response):
    with trace.get_tracer("shop").start_as_current_span("order"):
        raise ValueError("before the response")


def breaks(environ, start_response):
    yield "first piece\n"
    with trace.get_tracer("shop").start_as_current_span("order"):
        raise ValueError("in the response")


PATHS = [
    ("/exception", exception), ("/span", span), ("/raises", SentryWsgiMiddleware(raises)),
    ("/breaks", SentryWsgiMiddleware(breaks)),
]
