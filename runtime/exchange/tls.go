package exchange

import "crypto/tls"

// TLS is the connection of a client with TLS. Its method is safe for concurrent use.
type TLS interface {
	// State returns what was agreed on with the client, with its certificates if it has sent some. It makes a copy.
	State() tls.ConnectionState
}
