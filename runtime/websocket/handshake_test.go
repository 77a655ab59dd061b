package websocket

import (
	"strings"
	"testing"

	"fapws/runtime/checktest"
	"fapws/runtime/http1"
)

func ask(t *testing.T, lines ...string) (Handshake, *Refusal) {
	t.Helper()
	head := []byte(strings.Join(lines, "\r\n") + "\r\n\r\n")
	var r http1.Request
	_, err := r.Parse(head, &http1.DefaultLimits)
	checktest.Mustf(t, err, "%q", head)
	if !Asked(&r, head) {
		return Handshake{}, &Refusal{Text: "not asked"}
	}
	return Check(&r, head, true)
}

const (
	line    = "GET /chat HTTP/1.1"
	host    = "Host: server.example.com"
	upgrade = "Upgrade: websocket"
	conn    = "Connection: Upgrade"
	key     = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
	version = "Sec-WebSocket-Version: 13"
)

func TestHandshakesAreValidated(t *testing.T) {
	for _, test := range []struct {
		name  string
		lines []string
		why   string
	}{
		{"RFC 6455 §1.2", []string{line, host, upgrade, conn, key, version, "Origin: http://example.com",
			"Sec-WebSocket-Protocol: chat, superchat"}, ""},
		{"any case, among others", []string{line, host, "upgrade: foo, WebSocket", "connection: keep-alive, upgrade",
			strings.Replace(key, "Sec-W", "sec-w", 1), version}, ""},
		{"in two fields", []string{line, host, "Upgrade: h2c", upgrade, "Connection: keep-alive", conn, key, version}, ""},
		{"another protocol", []string{line, host, "Upgrade: h2c", conn, key, version}, "not asked"},
		{"with a version", []string{line, host, "Upgrade: websocket/13", conn, key, version}, "not asked"},
		{"POST", []string{"POST /chat HTTP/1.1", host, upgrade, conn, key, version}, "not asked"},
		{"HEAD", []string{"HEAD /chat HTTP/1.1", host, upgrade, conn, key, version}, "not asked"},
		{"HTTP/1.0", []string{"GET /chat HTTP/1.0", host, upgrade, conn, key, version}, "not asked"},
		{"a body", []string{line, host, upgrade, conn, key, version, "Content-Length: 1"},
			"400 a WebSocket request must not have a body"},
		{"chunks", []string{line, host, upgrade, conn, key, version, "Transfer-Encoding: chunked"},
			"400 a WebSocket request must not have a body"},
		{"an empty body", []string{line, host, upgrade, conn, key, version, "Content-Length: 0"}, ""},
		{"no Connection", []string{line, host, upgrade, key, version}, "not asked"},
		{"another Connection", []string{line, host, upgrade, "Connection: keep-alive", key, version}, "not asked"},
		{"no key", []string{line, host, upgrade, conn, version}, "400 Sec-WebSocket-Key is missing"},
		{"an empty key", []string{line, host, upgrade, conn, "Sec-WebSocket-Key:", version},
			"400 Sec-WebSocket-Key is not the base64 of 16 bytes"},
		{"a short key", []string{line, host, upgrade, conn, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j", version},
			"400 Sec-WebSocket-Key is not the base64 of 16 bytes"},
		{"17 bytes", []string{line, host, upgrade, conn, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZWE=", version},
			"400 Sec-WebSocket-Key is not the base64 of 16 bytes"},
		{"no base64", []string{line, host, upgrade, conn, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ$==", version},
			"400 Sec-WebSocket-Key is not the base64 of 16 bytes"},
		{"a long key", []string{line, host, upgrade, conn, key + "====", version},
			"400 Sec-WebSocket-Key is not the base64 of 16 bytes"},
		{"two keys", []string{line, host, upgrade, conn, key, key, version},
			"400 Sec-WebSocket-Key or Sec-WebSocket-Version is there twice"},
		{"two versions", []string{line, host, upgrade, conn, key, version, version},
			"400 Sec-WebSocket-Key or Sec-WebSocket-Version is there twice"},
		{"no version", []string{line, host, upgrade, conn, key}, "426 Sec-WebSocket-Version must be 13"},
		{"version 8", []string{line, host, upgrade, conn, key, "Sec-WebSocket-Version: 8"},
			"426 Sec-WebSocket-Version must be 13"},
		{"versions", []string{line, host, upgrade, conn, key, "Sec-WebSocket-Version: 13, 8"},
			"426 Sec-WebSocket-Version must be 13"},
		{"a malformed extension", []string{line, host, upgrade, conn, key, version,
			"Sec-WebSocket-Extensions: permessage-deflate; =1"}, "400 Sec-WebSocket-Extensions is malformed"},
	} {
		h, refused := ask(t, test.lines...)
		why := ""
		if refused != nil {
			why = refused.Text
			if refused.Status != 0 {
				why = string(rune('0'+refused.Status/100)) + string(rune('0'+refused.Status/10%10)) +
					string(rune('0'+refused.Status%10)) + " " + refused.Text
			}
			checktest.Equalf(t, refused.Status == 426, strings.Contains(refused.Fields, "Sec-WebSocket-Version: 13\r\n"),
				"%s: fields %q", test.name, refused.Fields)
		}
		checktest.Equalf(t, why, test.why, "%s", test.name)
		checktest.Truef(t, why != "" || string(h.Accept[:]) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
			"%s: accepts with %s", test.name, h.Accept[:])
	}
}

// RFC 7692 §7.1 defines the negotiation, and RFC 6455 §9.1 the syntax.
func TestExtensionsAreNegotiated(t *testing.T) {
	const (
		plain = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
		no    = ""
		wrong = "malformed"
	)
	for _, test := range []struct{ offers, answer string }{
		{"", no},
		{"permessage-deflate", plain},
		{"Permessage-Deflate", plain},
		{"permessage-deflate; client_max_window_bits", plain},
		{"permessage-deflate; client_max_window_bits=8", plain},
		{"permessage-deflate; client_max_window_bits=15; server_no_context_takeover", plain},
		{`permessage-deflate;client_max_window_bits="10"`, plain},
		{`permessage-deflate; client_max_window_bits="1\0"`, plain},
		{"permessage-deflate ; server_max_window_bits = 10", plain + "; server_max_window_bits=10"},
		{"permessage-deflate; server_max_window_bits=8", plain + "; server_max_window_bits=8"},
		{"permessage-deflate; server_max_window_bits=15", plain + "; server_max_window_bits=15"},
		{"permessage-deflate; server_max_window_bits", no},
		{"permessage-deflate; server_max_window_bits=7", no},
		{"permessage-deflate; server_max_window_bits=16", no},
		{"permessage-deflate; server_max_window_bits=08", no},
		{"permessage-deflate; server_max_window_bits=010", no},
		{"permessage-deflate; server_max_window_bits=abc", no},
		{"permessage-deflate; server_max_window_bits=9999999999999", no},
		{"permessage-deflate; client_max_window_bits=7", no},
		{"permessage-deflate; server_no_context_takeover=1", no},
		{"permessage-deflate; client_no_context_takeover=true", no},
		{"permessage-deflate; client_no_context_takeover; client_no_context_takeover", no},
		{"permessage-deflate; server_max_window_bits=10; server_max_window_bits=10", no},
		{"permessage-deflate; mode=fast", no},
		{"x-webkit-deflate-frame", no},
		{"x-webkit-deflate-frame, permessage-deflate", plain},
		{"permessage-deflate; mode=fast, permessage-deflate; server_max_window_bits=9, permessage-deflate",
			plain + "; server_max_window_bits=9"},
		{", permessage-deflate,, other;a=b , ", plain},
		{"permessage-deflate;", wrong},
		{"permessage-deflate; ;", wrong},
		{"permessage-deflate; a=", wrong},
		{`permessage-deflate; a="b`, wrong},
		{`permessage-deflate; a="b c"`, wrong},
		{`permessage-deflate; a=""`, wrong},
		{`permessage-deflate; a="b\`, wrong},
		{"permessage-deflate other", wrong},
		{"permessage-deflate, a b", wrong},
		{"=", wrong},
		{"(a)", wrong},
	} {
		c, valid := negotiate([]byte(test.offers))
		got := ""
		if !valid {
			got = wrong
		} else if c.On {
			got = c.String()
		}
		checktest.Equalf(t, got, test.answer, "%q", test.offers)
	}
	h, _ := ask(t, line, host, upgrade, conn, key, version, "Sec-WebSocket-Extensions: other",
		"Sec-WebSocket-Extensions: permessage-deflate")
	checktest.Truef(t, h.Compression.On, "an offer in a second field was not seen")
}
