package http1

import (
	"cmp"
	_ "embed"
	"path"
	"strings"
	"sync"
)

// defaultType is the type of what is not known (RFC 9110 §8.3: a recipient is
// not to guess, and with nosniff does not).
const defaultType = "application/octet-stream"

// MediaTypeByName returns the media type for a file name or path, by its
// extension, with a charset where one applies; application/octet-stream for
// what is not known. It may be called anywhere, and does not allocate if the extension is in lower case.
func MediaTypeByName[Name string | []byte](name Name) string {
	end := string(name[max(0, len(name)-1-maxExtension):])
	extension := strings.ToLower(strings.TrimPrefix(path.Ext(end), "."))
	return cmp.Or(mediaTypes()[extension], defaultType)
}

// maxExtension is the length of the longest extension in the table.
const maxExtension = len("webmanifest")

// mimeTypes has on each line a media type, a tab, and extensions in lower case. The types are the IANA names
// (https://www.iana.org/assignments/media-types), and what browsers expect where there is none.
//
//go:embed mime.types
var mimeTypes string

// mediaTypes returns the media types by extension. They are read when the first one is asked for.
var mediaTypes = sync.OnceValue(func() map[string]string {
	types := make(map[string]string)
	for line := range strings.Lines(mimeTypes) {
		mediaType, extensions, _ := strings.Cut(line, "\t")
		for _, extension := range strings.Fields(extensions) {
			types[extension] = mediaType
		}
	}
	return types
})
