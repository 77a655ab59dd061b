package http1

import (
	"net/url"
	"testing"

	"fapws/runtime/checktest"
)

// Parse rejects these paths.
func TestInvalidEncodingsArePartsOfADecodedPath(t *testing.T) {
	for in, want := range map[string]string{"/%": "/%", "/%4": "/%4", "/%zz": "/%zz", "/%%41": "/%A",
		"/%4%41": "/%4A"} {
		checktest.Equalf(t, string(DecodePath([]byte("|"), []byte(in))), "|"+want, "%q", in)
	}
}

// FuzzDecodePath compares the result with net/url, which rejects invalid encodings.
func FuzzDecodePath(f *testing.F) {
	for _, in := range []string{"", "/a%20b", "%2f", "/%2F%2f", "/%c3%A4", "/%ff", "/%09%90%99%aA%0f%F0", "/%25%34%31",
		"/%2e%2E/x/../y", "/a+b", "/%00", "/%zz", "%"} {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got := string(DecodePath(nil, []byte(in)))
		want, err := url.PathUnescape(in)
		checktest.Truef(t, err != nil || got == want, "%q: %q, net/url %q", in, got, want)
		checktest.Truef(t, len(got) <= len(in), "%q became longer: %q", in, got)
	})
}
