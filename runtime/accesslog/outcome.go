package accesslog

import "time"

// Outcome is the end of a request.
type Outcome struct {
	Status    int           // of the response, or StatusGone
	Sent      int64         // bytes of the body
	Framed    int64         // bytes of the rest of the response
	Received  int64         // bytes of the request
	Took      time.Duration // since it arrived
	Handler   string        // see Entry
	KeepAlive bool          // the connection goes on
	Aborted   bool          // the client left before the end
}

// StatusGone is the status in logs of a request whose client left before it was answered, as nginx has it.
const StatusGone = 499

// End completes r and writes its line, if there is a log.
func (r *Record) End(o *Outcome) {
	if r.Log == nil {
		return
	}
	r.Status, r.Duration, r.Handler = o.Status, o.Took, o.Handler
	r.BytesSent, r.WireIn, r.WireOut = o.Sent, o.Received, o.Sent+o.Framed
	r.KeepAlive, r.Aborted = o.KeepAlive, o.Aborted
	r.Log.Append(&r.Entry)
}
