package websocket

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"

	"fapws/runtime/http1"
)

// Handshake is the offer of a client's handshake.
type Handshake struct {
	Accept      [28]byte // Sec-WebSocket-Accept
	Compression Compression
}

// Refusal is why a handshake cannot be accepted.
type Refusal struct {
	Status int    // 400 or 426
	Text   string // human-readable
	Fields string // "Name: value\r\n" ..., to be sent with it
}

func bad(text string) *Refusal { return &Refusal{Status: 400, Text: text} }

var (
	refuseVersion1  = bad("a WebSocket needs HTTP/1.1")
	refuseMethod    = bad("a WebSocket needs the method GET")
	refuseBody      = bad("a WebSocket request must not have a body")
	refuseUpgrade   = bad("Connection: Upgrade is missing; a proxy may have dropped it")
	refuseKey       = bad("Sec-WebSocket-Key is missing")
	refuseKeyValue  = bad("Sec-WebSocket-Key is not the base64 of 16 bytes")
	refuseTwice     = bad("Sec-WebSocket-Key or Sec-WebSocket-Version is there twice")
	refuseExtension = bad("Sec-WebSocket-Extensions is malformed")

	refuseVersion = &Refusal{
		Status: 426, // RFC 6455 §4.4, RFC 9110 §15.5.22
		Text:   "Sec-WebSocket-Version must be 13",
		Fields: "Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
	}
)

// Asked says whether a request with an Upgrade field asks for a WebSocket.
func Asked(r *http1.Request, head []byte) bool {
	for _, f := range r.Fields {
		if f.Name.Len == 7 && equalFold(f.Name.In(head), "upgrade") && lists(f.Value.In(head), "websocket") {
			return true
		}
	}
	return false
}

// Check returns the offer of a request for a WebSocket if it follows RFC 6455 §4.2.1, else why it is refused.
// deflate: compression may be agreed on.
func Check(r *http1.Request, head []byte, deflate bool) (h Handshake, refusal *Refusal) {
	switch {
	case r.Version < http1.HTTP11:
		return h, refuseVersion1
	case string(r.Method.In(head)) != "GET":
		return h, refuseMethod
	case r.Body == http1.Chunked || r.Length > 0:
		return h, refuseBody
	case !r.Upgrade:
		return h, refuseUpgrade
	}
	var key, version, extensions []byte
	for _, f := range r.Fields {
		name, value := f.Name.In(head), f.Value.In(head)
		switch len(name) {
		case len("sec-websocket-key"):
			if equalFold(name, "sec-websocket-key") {
				if key != nil {
					return h, refuseTwice
				}
				key = value
			}
		case len("sec-websocket-version"):
			if equalFold(name, "sec-websocket-version") {
				if version != nil {
					return h, refuseTwice
				}
				version = value
			}
		case len("sec-websocket-extensions"):
			if equalFold(name, "sec-websocket-extensions") {
				if extensions == nil {
					extensions = value
				} else { // RFC 6455 §9.1: one list
					extensions = bytes.Join([][]byte{extensions, value}, []byte(","))
				}
			}
		}
	}
	if string(version) != "13" {
		return h, refuseVersion
	}
	if key == nil {
		return h, refuseKey
	}
	var nonce [18]byte
	if n, err := base64.StdEncoding.Decode(nonce[:], key[:min(len(key), 24)]); err != nil || n != 16 || len(key) != 24 {
		return h, refuseKeyValue
	}
	compression, valid := negotiate(extensions)
	if !valid {
		return h, refuseExtension
	}
	if deflate {
		h.Compression = compression
	}
	h.Accept = AcceptKey(key)
	return h, nil
}

// AcceptKey returns the value of Sec-WebSocket-Accept for one of Sec-WebSocket-Key.
func AcceptKey(key []byte) (accept [28]byte) {
	sum := sha1.Sum(append(bytes.Clone(key), "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"...))
	base64.StdEncoding.Encode(accept[:], sum[:])
	return accept
}

// lists says whether a comma-separated list has a member, without regard to case.
// A version behind it, as in "websocket/13", is another one.
func lists(list []byte, member string) bool {
	for len(list) > 0 {
		one, rest, _ := bytes.Cut(list, []byte(","))
		if equalFold(bytes.Trim(one, " \t"), member) {
			return true
		}
		list = rest
	}
	return false
}
