package runtime

import (
	"fapws/runtime/accesslog"
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
)

// upgrade gives the connection of x, whose response is written or gathered, to another protocol. x is released afterwards.
func (x *Exchange) upgrade(to exchange.Upgrade) {
	c := x.conn
	c.shift()
	c.cancelAll()
	c.setState(stateUpgraded)
	to.Begin(x)
}

// Conn implements Exchange of package protocol/sse.
func (x *Exchange) Conn() *conn.Conn { return &x.conn.Conn }

// TakeRecord implements Exchange of package protocol/sse: another protocol writes the line of x to the access log.
func (x *Exchange) TakeRecord() (log *accesslog.Record, sent, framed int64) {
	if log = x.log; log != nil {
		log.WireIn = x.received
		x.log = nil
	}
	return log, x.out.Sent, x.out.Framed
}
