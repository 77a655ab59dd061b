package proxy

import (
	"net"
	"net/http"

	"fapws/runtime/backend"
	"fapws/runtime/http1"
	"fapws/runtime/otel"
)

// begin begins the span of a request to the upstream, and sends its ID in Traceparent, so that spans of the upstream
// become its children. sent is the number of earlier attempts to send r.
func begin(up *upstream, request *http.Request, r *backend.Request, sent int) *otel.Call {
	if up.opt.Spans == nil {
		return nil
	}
	call := up.opt.Spans.Call(http1.OwnIdentity(r.Head, r.Parsed, r.Own))
	if call == nil {
		return nil
	}
	request.Header["Traceparent"] = []string{call.Traceparent()}
	scheme := "http"
	if up.target.tls != nil {
		scheme = "https"
	}
	call.Method, call.URL, call.Resent = request.Method, scheme+"://"+up.target.host+request.URL.RequestURI(), sent
	if up.target.network == "unix" {
		call.Address = up.target.address
	} else {
		call.Address, call.Port, _ = net.SplitHostPort(up.target.address)
	}
	return call
}

// kindOf returns the attribute error.type of a request without a response.
func kindOf(r *backend.Request, err error) string {
	switch {
	case r.Context.Err() != nil:
		return "client_disconnected"
	case isTimeout(err):
		return "timeout"
	}
	return "_OTHER"
}
