package runtime

import "fapws/runtime/accesslog"

// TakeRecord implements Exchange of package protocol/sse: another protocol writes the line of x to the access log.
func (x *Exchange) TakeRecord() (log *accesslog.Record, sent, framed int64) {
	if log = x.log; log != nil {
		log.WireIn = x.Received
		x.log = nil
	}
	return log, x.Out.Sent, x.Out.Framed
}
