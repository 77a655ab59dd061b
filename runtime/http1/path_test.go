package http1

import (
	"net/url"
	"testing"
)

func TestPathsArePercentDecoded(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"/", "/"},
		{"/plain/path", "/plain/path"},
		{"/a%20b", "/a b"},
		{"/%41%42%43", "/ABC"},
		{"%2f", "/"},
		{"/%2F%2f", "///"},
		{"/%c3%A4", "/\xc3\xa4"},
		{"/%ff", "/\xff"},
		{"/%09%90%99%aA%0f%F0", "/\t\x90\x99\xaa\x0f\xf0"},
		{"/%25%34%31", "/%41"},
		{"/%2e%2E/x/../y", "/../x/../y"},
		{"/a+b", "/a+b"},
		// Parse rejects these paths, whose invalid encodings DecodePath copies unchanged.
		{"/%", "/%"},
		{"/%4", "/%4"},
		{"/%zz", "/%zz"},
		{"/%%41", "/%A"},
		{"/%4%41", "/%4A"},
		{"/%00", "/\x00"},
	} {
		if got := string(DecodePath([]byte("|"), []byte(c.in))); got != "|"+c.want {
			t.Errorf("%q: %q, want %q", c.in, got, "|"+c.want)
		}
	}
}

func FuzzDecodePath(f *testing.F) {
	for _, in := range []string{"/a%20b", "/%zz", "%", "/%25%34"} {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got := string(DecodePath(nil, []byte(in)))
		if want, err := url.PathUnescape(in); err == nil && got != want {
			t.Errorf("%q: %q, net/url %q", in, got, want)
		}
		if len(got) > len(in) {
			t.Errorf("%q became longer: %q", in, got)
		}
	})
}
