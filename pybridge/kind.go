package pybridge

// #include "shim.h"
import "C"

// MountKind is the protocol by which an application is called. live_module.c has the other half of the table.
type MountKind int

const (
	WSGI         MountKind = C.CORE_WSGI
	ASGI         MountKind = C.CORE_ASGI
	AsyncHandler MountKind = C.CORE_ASYNC_HANDLER // async def, called like WSGI
	WebSocket    MountKind = C.CORE_WEBSOCKET     // an instance of fapws.WebSocket
)

// kinds contains all differences between kinds in Go. Other code uses the table and does not compare kinds.
var kinds = [...]struct {
	name, article string
	arguments     []string
	mode          mode // mode of these mounts; nil means the mode of the pool
	lifespan      bool
	webSocket     bool
	// callbacks on the threads of handlers serve WebSockets of this kind
	callbacks bool
	// the application may receive the socket of a WebSocket handshake.
	detaches bool
	streams  bool
	pep3333  bool // --dev warns if the application violates PEP 3333
	// a process may answer one request of the application and end (--fork)
	forks bool
}{
	WSGI: {name: "WSGI", article: "a WSGI application", arguments: wsgiArguments, detaches: true, forks: true,
		pep3333: true},
	ASGI: {name: "ASGI", article: "an ASGI application", arguments: asgiArguments, mode: asyncio{},
		lifespan: true, webSocket: true, streams: true},
	AsyncHandler: {name: "async handler", article: "an async handler", arguments: wsgiArguments, mode: asyncio{}},
	WebSocket: {name: "WebSocket", article: "a WebSocket", arguments: wsgiArguments, webSocket: true,
		callbacks: true},
}

var (
	wsgiArguments = []string{"environ", "start_response"}
	asgiArguments = []string{"scope", "receive", "send"}
)

func (k MountKind) String() string { return kinds[k].name }

func (k MountKind) WebSockets() bool { return kinds[k].webSocket }

// Detaches reports whether the application may receive the socket of a handshake (werkzeug.socket).
func (k MountKind) Detaches() bool { return kinds[k].detaches }

// OnThreads reports whether the handler runs on the threads of the pool, or inline. OnThreads returns false for the
// asyncio thread.
func (k MountKind) OnThreads() bool { return kinds[k].mode == nil }

func (k MountKind) Streams() bool { return kinds[k].streams }
