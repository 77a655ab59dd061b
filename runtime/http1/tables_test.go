package http1

import (
	"bytes"
	"mime"
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

func TestClassTableAgreesWithTheGrammar(t *testing.T) {
	const digits, letters, hex = "0123456789", "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
		"0123456789abcdefABCDEF"
	in := func(c byte, set string) bool { return strings.IndexByte(set, c) >= 0 }
	for i := range 256 {
		c := byte(i)
		visible := c > 0x20 && c < 0x7f
		for _, want := range []struct {
			name string
			bit  uint8
			is   bool
		}{
			{"tchar", isToken, visible && !in(c, "\"(),/:;<=>?@[\\]{}")}, // VCHAR except delimiters (RFC 9110 §5.6.2)
			{"field value", isValue, c == '\t' || c >= 0x20 && c != 0x7f},
			{"target", isTarget, visible && c != '#'},
			{"plain", isPlain, visible && c != '#' && c != '?' && c != '%' && c != '/' && c != '\\'},
			{"host", isHost, in(c, digits+letters+"-._~!$&'()*+,;=")},
			{"hex", isHex, in(c, hex)},
		} {
			checktest.Equalf(t, class[c]&want.bit != 0, want.is, "%q as %s", c, want.name)
		}
	}
}

// validValue checks eight bytes at once.
func TestValidValueAgreesWithTheTableAtEveryPosition(t *testing.T) {
	for size := range 36 {
		for at := range size {
			for i := range 256 {
				b := bytes.Repeat([]byte{'a'}, size)
				b[at] = byte(i)
				got, want := validValue(b), class[byte(i)]&isValue != 0
				checktest.Needf(t, got == want, "%q: %v", b, got)
			}
		}
	}
}

// The check of eight bytes must find an invalid byte regardless of the adjacent bytes.
func TestValidValueChecksAdjacentBytes(t *testing.T) {
	b := make([]byte, 12)
	for i := range 1 << 16 {
		for j := range b {
			b[j] = byte(i)
			if j%2 == 1 {
				b[j] = byte(i >> 8)
			}
		}
		got, want := validValue(b), all(b, isValue)
		checktest.Needf(t, got == want, "%q: %v", b, got)
	}
}

func TestHostsAreValidated(t *testing.T) {
	for _, c := range []struct {
		in string
		ok bool
	}{
		{"a", true}, {"a.example", true}, {"A-1_~.x", true}, {"127.0.0.1", true}, {"a:80", true}, {"a:", true},
		{"a:65535", true}, {"a:00080", true}, {"a%41b", true}, {"a!$&'()*+,;=", true}, {"xn--bcher-kva.example.", true},
		{"[::1]", true}, {"[::1]:80", true}, {"[::ffff:1.2.3.4]:", true}, {"[FE80::1]", true}, {"[::]", true},
		{"a:9", true}, {"a%41", true}, {"a%4z", false}, {"a%z4", false},
		{"", false}, {":80", false}, {":", false}, {"a:b", false}, {"a:80:80", false}, {"a:65536", false},
		{"a:+80", false}, {"a:99999999999999999999", false}, {"a b", false}, {"a/b", false}, {"a?b", false},
		{"a#b", false},
		{"u@a", false}, {"a\\b", false}, {"a\"b", false}, {"a<b", false}, {"{a}", false}, {"a|b", false},
		{"a^b", false}, {"a`b", false},
		{"a\x00", false}, {"a\x7f", false}, {"\xc3\xa4", false}, {"a%", false}, {"a%4", false}, {"a%zz", false},
		{"::1", false}, {"[", false}, {"[]", false}, {"[:]", false}, {"[::1", false}, {"::1]", false},
		{"[::1]x", false}, {"[::1]80", false},
		{"[g::]", false}, {"[fe80::1%25eth0]", false}, {"[v1.a]", false}, {"[::1]]", false}, {"a[::1]", false},
	} {
		checktest.Equalf(t, ValidHost([]byte(c.in)), c.ok, "%q", c.in)
	}
}

func TestMediaTypeDependsOnTheExtension(t *testing.T) {
	for name, want := range map[string]string{
		"index.html":           "text/html; charset=utf-8",
		"a/b/INDEX.HTM":        "text/html; charset=utf-8",
		"app.min.js":           "text/javascript; charset=utf-8",
		"m.mjs":                "text/javascript; charset=utf-8",
		"a.css":                "text/css; charset=utf-8",
		"a.json":               "application/json; charset=utf-8",
		"a.svg":                "image/svg+xml; charset=utf-8",
		"a.xml":                "application/xml; charset=utf-8",
		"a.txt":                "text/plain; charset=utf-8",
		"a.png":                "image/png",
		"a.wasm":               "application/wasm",
		"a.woff2":              "font/woff2",
		"a.webmanifest":        "application/manifest+json; charset=utf-8",
		"a.tar.gz":             "application/gzip",
		"a.3g2":                "video/3gpp2",
		"a.zst":                "application/zstd",
		"":                     defaultType,
		"README":               defaultType,
		"a.":                   defaultType,
		"a.unknown":            defaultType,
		"a.webmanifestwebmani": defaultType,
		"dir.html/file":        defaultType,
		"dir.html/":            defaultType,
		".html":                "text/html; charset=utf-8",
		"a.ht\x00ml":           defaultType,
	} {
		checktest.Equalf(t, MediaTypeByName(name), want, "%q", name)
		checktest.Equalf(t, MediaTypeByName([]byte(name)), want, "%q as bytes", name)
	}
}

func TestTableOfMediaTypesIsValid(t *testing.T) {
	for extension, mediaType := range mediaTypes() {
		checktest.Equalf(t, MediaTypeByName("x."+extension), mediaType, "%q is not found", extension)
		name, params, err := mime.ParseMediaType(mediaType)
		checktest.Truef(t, err == nil && mime.FormatMediaType(name, params) == mediaType, "%q: %v", mediaType, err)
	}
}
