// Package acme gets certificates from a public authority such as Let's Encrypt (RFC 8555), and renews them
// (--tls acme). The protocol is that of golang.org/x/crypto/acme/autocert; its cache is a directory of the state
// directory, in which all processes of a server find certificates, keys and tokens.
//
// Orders, in the process that reads certificates, orders one certificate after the other. The authority then asks
// workers for a token, over HTTP (http-01) or in a TLS handshake (tls-alpn-01, RFC 8737), and they find it in the
// directory: Token and Challenge. A new certificate is a file that has changed, like any other (package certificates).
//
// All functions are safe for concurrent use. Start reading at orders.go.
package acme
