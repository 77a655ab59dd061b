package pybridge

// #include "shim.h"
import "C"

// MountKind is the protocol by which an application is called. live_module.c has a table of the kinds for C.
type MountKind int

const (
	WSGI         MountKind = C.CORE_WSGI
	ASGI         MountKind = C.CORE_ASGI
	AsyncHandler MountKind = C.CORE_ASYNC_HANDLER // an async function with the arguments of WSGI
	WebSocket    MountKind = C.CORE_WEBSOCKET
)

// kinds describes how the kinds differ. The Go code reads this table, and never compares kinds.
var kinds = [...]struct {
	name, article string
	mode          mode // mode in which handlers of this kind run; nil for the mode of the pool (threads or inline)
	lifespan      bool
	webSocket     bool
	// WebSockets of this kind are served by callbacks, on the threads that run handlers
	callbacks bool
	// the application can receive the socket of a WebSocket handshake (werkzeug.socket)
	detaches bool
	streams  bool
	forks    bool
}{
	WSGI: {name: "WSGI", article: "a WSGI application", detaches: true, forks: true},
	ASGI: {name: "ASGI", article: "an ASGI application", mode: asyncio{}, lifespan: true, webSocket: true,
		streams: true},
	AsyncHandler: {name: "async handler", article: "an async handler", mode: asyncio{}},
	WebSocket:    {name: "WebSocket", article: "a WebSocket", webSocket: true, callbacks: true},
}

// kindNames maps the kinds of contrib/fapws/_entries.py.
var kindNames = map[string]MountKind{"wsgi": WSGI, "asgi": ASGI, "handler": AsyncHandler, "websocket": WebSocket}

func (k MountKind) String() string { return kinds[k].name }

func (k MountKind) WebSockets() bool { return kinds[k].webSocket }

func (k MountKind) Detaches() bool { return kinds[k].detaches }

// OnThreads reports whether handlers of this kind run on the threads of the pool or inline, and not on the asyncio
// thread.
func (k MountKind) OnThreads() bool { return kinds[k].mode == nil }

func (k MountKind) Streams() bool { return kinds[k].streams }
