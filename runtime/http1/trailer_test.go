package http1

import (
	"testing"

	"fapws/runtime/checktest"
)

func TestTrailersThatHTTPForbidsAreInvalid(t *testing.T) {
	for name, want := range map[string]bool{
		"X-Sum": true, "Content-Digest": true, "ETag": true, "Server-Timing": true, "Iff": true,
		"Authentication-Info": true,
		"":                    false, "a b": false, ":status": false, "a:": false, "Content-Length": false,
		"TRANSFER-ENCODING": false,
		"Content-Type":      false,
		"If-Match":          false, "Set-Cookie": false, "Cache-Control": false, "Proxy-Status": false,
		"Trailer": false,
		"Host":    false,
	} {
		checktest.Equalf(t, ValidTrailer(name), want, "%q", name)
	}
}
