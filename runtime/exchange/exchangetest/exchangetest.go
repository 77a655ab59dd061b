// Package exchangetest has a Sink for tests of sources.
package exchangetest

import "fapws/runtime/exchange"

// Sink keeps what a source sends.
type Sink struct {
	Parts   []exchange.Part
	Replied []exchange.Reply
}

// Send implements exchange.Sink.
func (s *Sink) Send(p *exchange.Part) { s.Parts = append(s.Parts, *p) }

// Reply implements exchange.Sink.
func (s *Sink) Reply(r exchange.Reply) { s.Replied = append(s.Replied, r) }
