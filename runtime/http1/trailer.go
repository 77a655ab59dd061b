package http1

import "strings"

// Limits of the trailer fields behind a body (RFC 9110 §6.5), in requests and in responses. FAPWS_TRAILERS_MAX of pybridge/response.h and the
// number beside it are the same.
const (
	MaxTrailers     = 100      // fields
	MaxTrailerBytes = 16 << 10 // of all names and values, with ": " and CRLF
)

// NotTrailers are the fields that a response must not have as trailers, in lower case: those for framing,
// routing, authentication and caches, about the content, and for the server itself (RFC 9110 §6.5.1). A name that ends with "-" stands for all names that begin with it. pybridge/trailers.c has the
// same list.
var NotTrailers = []string{
	"age", "authorization", "cache-control", "connection", "content-", "cookie", "date", "expect", "expires", "fapws-channel", "host", "if-",
	"keep-alive", "location", "max-forwards", "pragma", "proxy-", "range", "retry-after", "set-cookie", "set-cookie2", "te", "trailer",
	"transfer-encoding", "upgrade", "vary", "warning", "www-authenticate", "x-accel-redirect", "x-sendfile",
}

// ValidTrailer reports whether a response may have a field with that name behind its body.
func ValidTrailer(name string) bool {
	for i := range len(name) {
		if class[name[i]]&isToken == 0 {
			return false
		}
	}
	name = strings.ToLower(name)
	if name == "content-digest" { // RFC 9530 §2 means it for trailers
		return true
	}
	for _, not := range NotTrailers {
		if name == not || not[len(not)-1] == '-' && strings.HasPrefix(name, not) {
			return false
		}
	}
	return name != ""
}
