/* Which tables serve which protocol: the only place that knows the numbers of record.h. */
#include "kind.h"

static const struct {
  const fapws_kind *request, *websocket;
  const fapws_mode *mode; /* NULL: the pool's */
} protocols[] = {
    [FAPWS_WSGI] = {&fapws_wsgi, &fapws_wsgi, NULL},
    [FAPWS_ASGI] = {&fapws_asgi_http, &fapws_asgi_websocket, &fapws_asyncio},
    [FAPWS_ASYNC_HANDLER] = {&fapws_async_handler, &fapws_async_handler, &fapws_asyncio},
    [FAPWS_WEBSOCKET] = {&fapws_wsgi, &fapws_websocket_callbacks, NULL},
};

void fapws_mount_bind(fapws_mount *m, int protocol) {
  m->kinds[0] = protocols[protocol].request;
  m->kinds[1] = protocols[protocol].websocket;
  m->mode = protocols[protocol].mode ? protocols[protocol].mode : fapws_the_pool.mode;
}
