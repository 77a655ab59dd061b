package exchange

// A Carrier is a WebSocket or a tunnel that continues an exchange after HTTP (see Server.Init).
type Carrier interface {
	// Begun reports whether the protocol has taken over the connection, so that the Carrier is also the Sink.
	Begun() bool
	// Refused is called if the response is an ordinary HTTP response, or if the client disconnects before Begun. It may
	// be called again for the same exchange.
	Refused()
	// Carried returns the number of received and sent bytes; proper is false if the protocol ended with an error.
	Carried() (received, sent int64, proper bool)
}
