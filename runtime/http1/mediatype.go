package http1

import (
	"slices"
	"strings"
)

// defaultType is the type of what is not known (RFC 9110 §8.3: a recipient is
// not to guess, and with nosniff does not).
const defaultType = "application/octet-stream"

// MediaTypeByName returns the media type for a file name or path, by its
// extension, with a charset where one applies; application/octet-stream for
// what is not known. It does not allocate and may be called anywhere.
func MediaTypeByName[Name string | []byte](name Name) string {
	var buf [maxExtension]byte
	for i := len(name) - 1; i >= 0 && name[i] != '/'; i-- {
		if name[i] != '.' {
			continue
		}
		n := len(name) - i - 1
		if n > len(buf) {
			return defaultType
		}
		for j := range n {
			c := name[i+1+j]
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			buf[j] = c
		}
		return typeByExtension(buf[:n])
	}
	return defaultType
}

func typeByExtension(extension []byte) string {
	at, found := slices.BinarySearchFunc(types[:], extension, func(t mediaTypeOf, extension []byte) int {
		return strings.Compare(t.extension, string(extension))
	})
	if !found {
		return defaultType
	}
	return types[at].mediaType
}

// maxExtension is the length of the longest extension in the table.
const maxExtension = len("webmanifest")

type mediaTypeOf struct{ extension, mediaType string }

// types are sorted by extension, in lower case. They are the IANA names
// (https://www.iana.org/assignments/media-types), and what browsers expect
// where there is none. A sorted array costs nothing at start-up and lies in
// read-only memory.
var types = [...]mediaTypeOf{
	{"3g2", "video/3gpp2"},
	{"3gp", "video/3gpp"},
	{"7z", "application/x-7z-compressed"},
	{"aac", "audio/aac"},
	{"ai", "application/postscript"},
	{"aif", "audio/aiff"},
	{"aiff", "audio/aiff"},
	{"apk", "application/vnd.android.package-archive"},
	{"apng", "image/apng"},
	{"appcache", "text/cache-manifest; charset=utf-8"},
	{"asc", "text/plain; charset=utf-8"},
	{"atom", "application/atom+xml; charset=utf-8"},
	{"avi", "video/x-msvideo"},
	{"avif", "image/avif"},
	{"bib", "text/x-bibtex; charset=utf-8"},
	{"bin", "application/octet-stream"},
	{"bmp", "image/bmp"},
	{"br", "application/x-brotli"},
	{"bz2", "application/x-bzip2"},
	{"c", "text/x-c; charset=utf-8"},
	{"cbor", "application/cbor"},
	{"cer", "application/pkix-cert"},
	{"cjs", "text/javascript; charset=utf-8"},
	{"conf", "text/plain; charset=utf-8"},
	{"cpp", "text/x-c++; charset=utf-8"},
	{"crl", "application/pkix-crl"},
	{"crt", "application/x-x509-ca-cert"},
	{"css", "text/css; charset=utf-8"},
	{"csv", "text/csv; charset=utf-8"},
	{"cur", "image/x-icon"},
	{"deb", "application/vnd.debian.binary-package"},
	{"der", "application/x-x509-ca-cert"},
	{"diff", "text/x-diff; charset=utf-8"},
	{"djvu", "image/vnd.djvu"},
	{"dmg", "application/x-apple-diskimage"},
	{"doc", "application/msword"},
	{"docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
	{"dtd", "application/xml-dtd; charset=utf-8"},
	{"eml", "message/rfc822"},
	{"eot", "application/vnd.ms-fontobject"},
	{"eps", "application/postscript"},
	{"epub", "application/epub+zip"},
	{"exe", "application/vnd.microsoft.portable-executable"},
	{"flac", "audio/flac"},
	{"flv", "video/x-flv"},
	{"geojson", "application/geo+json; charset=utf-8"},
	{"gif", "image/gif"},
	{"glb", "model/gltf-binary"},
	{"gltf", "model/gltf+json; charset=utf-8"},
	{"go", "text/x-go; charset=utf-8"},
	{"gpx", "application/gpx+xml; charset=utf-8"},
	{"gz", "application/gzip"},
	{"h", "text/x-c; charset=utf-8"},
	{"heic", "image/heic"},
	{"heif", "image/heif"},
	{"hpp", "text/x-c++; charset=utf-8"},
	{"htm", "text/html; charset=utf-8"},
	{"html", "text/html; charset=utf-8"},
	{"ico", "image/x-icon"},
	{"ics", "text/calendar; charset=utf-8"},
	{"ini", "text/plain; charset=utf-8"},
	{"iso", "application/x-iso9660-image"},
	{"jar", "application/java-archive"},
	{"java", "text/x-java; charset=utf-8"},
	{"jp2", "image/jp2"},
	{"jpeg", "image/jpeg"},
	{"jpg", "image/jpeg"},
	{"js", "text/javascript; charset=utf-8"},
	{"json", "application/json; charset=utf-8"},
	{"json5", "application/json5; charset=utf-8"},
	{"jsonl", "application/jsonl; charset=utf-8"},
	{"jsonld", "application/ld+json; charset=utf-8"},
	{"jxl", "image/jxl"},
	{"kml", "application/vnd.google-earth.kml+xml; charset=utf-8"},
	{"kmz", "application/vnd.google-earth.kmz"},
	{"log", "text/plain; charset=utf-8"},
	{"m3u", "audio/x-mpegurl"},
	{"m3u8", "application/vnd.apple.mpegurl"},
	{"m4a", "audio/mp4"},
	{"m4s", "video/iso.segment"},
	{"m4v", "video/mp4"},
	{"map", "application/json; charset=utf-8"},
	{"markdown", "text/markdown; charset=utf-8"},
	{"mathml", "application/mathml+xml; charset=utf-8"},
	{"md", "text/markdown; charset=utf-8"},
	{"mid", "audio/midi"},
	{"midi", "audio/midi"},
	{"mjs", "text/javascript; charset=utf-8"},
	{"mkv", "video/matroska"},
	{"mov", "video/quicktime"},
	{"mp3", "audio/mpeg"},
	{"mp4", "video/mp4"},
	{"mpd", "application/dash+xml; charset=utf-8"},
	{"mpeg", "video/mpeg"},
	{"mpg", "video/mpeg"},
	{"ndjson", "application/x-ndjson; charset=utf-8"},
	{"odp", "application/vnd.oasis.opendocument.presentation"},
	{"ods", "application/vnd.oasis.opendocument.spreadsheet"},
	{"odt", "application/vnd.oasis.opendocument.text"},
	{"oga", "audio/ogg"},
	{"ogg", "audio/ogg"},
	{"ogv", "video/ogg"},
	{"opus", "audio/ogg"},
	{"otf", "font/otf"},
	{"p12", "application/x-pkcs12"},
	{"patch", "text/x-diff; charset=utf-8"},
	{"pdf", "application/pdf"},
	{"pem", "application/x-pem-file"},
	{"png", "image/png"},
	{"ppt", "application/vnd.ms-powerpoint"},
	{"pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"},
	{"ps", "application/postscript"},
	{"py", "text/x-python; charset=utf-8"},
	{"rar", "application/vnd.rar"},
	{"rdf", "application/rdf+xml; charset=utf-8"},
	{"rpm", "application/x-rpm"},
	{"rs", "text/x-rust; charset=utf-8"},
	{"rss", "application/rss+xml; charset=utf-8"},
	{"rst", "text/x-rst; charset=utf-8"},
	{"rtf", "application/rtf"},
	{"sh", "text/x-shellscript; charset=utf-8"},
	{"shtml", "text/html; charset=utf-8"},
	{"sqlite", "application/vnd.sqlite3"},
	{"srt", "application/x-subrip; charset=utf-8"},
	{"svg", "image/svg+xml; charset=utf-8"},
	{"tar", "application/x-tar"},
	{"tex", "text/x-tex; charset=utf-8"},
	{"text", "text/plain; charset=utf-8"},
	{"tgz", "application/gzip"},
	{"tif", "image/tiff"},
	{"tiff", "image/tiff"},
	{"toml", "application/toml; charset=utf-8"},
	{"torrent", "application/x-bittorrent"},
	{"ts", "video/mp2t"},
	{"tsv", "text/tab-separated-values; charset=utf-8"},
	{"ttc", "font/collection"},
	{"ttf", "font/ttf"},
	{"txt", "text/plain; charset=utf-8"},
	{"vcf", "text/vcard; charset=utf-8"},
	{"vtt", "text/vtt; charset=utf-8"},
	{"wasm", "application/wasm"},
	{"wav", "audio/wav"},
	{"weba", "audio/webm"},
	{"webm", "video/webm"},
	{"webmanifest", "application/manifest+json; charset=utf-8"},
	{"webp", "image/webp"},
	{"woff", "font/woff"},
	{"woff2", "font/woff2"},
	{"xht", "application/xhtml+xml; charset=utf-8"},
	{"xhtml", "application/xhtml+xml; charset=utf-8"},
	{"xls", "application/vnd.ms-excel"},
	{"xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
	{"xml", "application/xml; charset=utf-8"},
	{"xpi", "application/x-xpinstall"},
	{"xsd", "application/xml; charset=utf-8"},
	{"xsl", "application/xslt+xml; charset=utf-8"},
	{"xslt", "application/xslt+xml; charset=utf-8"},
	{"xz", "application/x-xz"},
	{"yaml", "application/yaml; charset=utf-8"},
	{"yml", "application/yaml; charset=utf-8"},
	{"zip", "application/zip"},
	{"zst", "application/zstd"},
}
