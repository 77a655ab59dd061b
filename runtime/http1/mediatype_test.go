package http1

import (
	"mime"
	"testing"
)

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
		if got := MediaTypeByName(name); got != want {
			t.Errorf("%q: %s, not %s", name, got, want)
		}
		if got := MediaTypeByName([]byte(name)); got != want {
			t.Errorf("%q as bytes: %s", name, got)
		}
	}
}

func TestTableOfMediaTypesIsValid(t *testing.T) {
	for extension, mediaType := range mediaTypes() {
		if got := MediaTypeByName("x." + extension); got != mediaType {
			t.Errorf("%q is not found: %s", extension, got)
		}
		name, params, err := mime.ParseMediaType(mediaType)
		if err != nil || mime.FormatMediaType(name, params) != mediaType {
			t.Errorf("%q: %v", mediaType, err)
		}
	}
}
