package acme

import (
	"context"
	"crypto/tls"
	"errors"
	"slices"
	"strings"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// Protocol is what a client asks for by ALPN that looks for a token (RFC 8737 §4).
const Protocol = acme.ALPNProto

var errNoToken = errors.New("there is no such token")

// Token returns the answer to an authority that asks for a token over HTTP, from the directory of Orders.
func Token(dir, token string) ([]byte, error) {
	if token == "" || len(token) > 128 || strings.Trim(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		return nil, errNoToken
	}
	return autocert.DirCache(dir).Get(context.Background(), token+"+http-01") // as autocert names it
}

// Asks reports whether a client is an authority that looks for a token.
func Asks(hello *tls.ClientHelloInfo) bool {
	return slices.Equal(hello.SupportedProtos, []string{Protocol})
}

// Challenge returns the function that answers such clients, from the directory of Orders.
func Challenge(dir string) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	m := &autocert.Manager{Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(dir), HostPolicy: autocert.HostWhitelist()}
	return m.GetCertificate
}
