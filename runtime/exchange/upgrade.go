package exchange

// Upgrade is another protocol, which a connection speaks behind the response of an exchange: see Part.Upgrade.
type Upgrade interface {
	// Begin gives the connection to the other protocol. The response has been written, or is about to be. s is the server of the
	// exchange, which ends when Begin has returned. If the response cannot be sent, Begin is not called before the Owner
	// of the part gets it back.
	Begin(s Server)
}
