package exchange

import "fapws/runtime/logfile"

// A Carrier is a WebSocket or a tunnel that continues an exchange after HTTP (see Server.Init).
type Carrier interface {
	// Begun reports whether the protocol has taken over the connection, so that the Carrier is also the Sink.
	Begun() bool
	// Refused is called if the response is an ordinary HTTP response, or if the client disconnects before Begun. It may
	// be called again for the same exchange.
	Refused()
	// Carried returns the number of received and sent bytes; proper is false if the protocol ended with an error.
	Carried() (in, out int64, proper bool)
}

// A Resumption describes, as JSON, an exchange that another process has handed over after a change of its protocol (see
// Server.Resume).
type Resumption struct {
	Group         []byte // Mount.Group of the exchange's mount
	Head          []byte
	Local, Remote string // addresses of the server and of the client, with ports; "" for a unix socket
	User          string `json:",omitempty"`
	Subprotocol   string `json:",omitempty"`
	Data          []byte // the Body of the handler's last part, which has OpHandOver
	Sent, Framed  int64

	Log *logfile.State `json:",omitempty"` // state of the line for the access log, which is not written yet
}
