package http1

import (
	"mime"
	"testing"

	"fapws/runtime/checktest"
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
