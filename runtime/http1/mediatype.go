package http1

import (
	_ "embed" // for mediatypes.txt
	"path"
	"strings"
	"sync"
)

// defaultType is the media type of files with an unknown extension.
const defaultType = "application/octet-stream"

// MediaTypeByName returns the media type for the extension of a file name or path, with a charset if applicable. For an
// unknown extension, the result is application/octet-stream. MediaTypeByName is safe for concurrent use, and does not
// allocate if the extension is in lower case.
func MediaTypeByName[Name string | []byte](name Name) string {
	end := string(name[max(0, len(name)-1-maxExtension):])
	extension := strings.ToLower(strings.TrimPrefix(path.Ext(end), "."))
	if mediaType, known := mediaTypes()[extension]; known {
		return mediaType
	}
	return defaultType
}

const maxExtension = len("webmanifest")

// mediaTypeLines contains a line for each media type, sorted: the media type, a tab, and its extensions in lower case.
// The media types are registered by IANA (https://www.iana.org/assignments/media-types), or have names that browsers
// expect.
//
//go:embed mediatypes.txt
var mediaTypeLines string

// mediaTypes returns the media types by extension.
var mediaTypes = sync.OnceValue(func() map[string]string {
	types := map[string]string{}
	for line := range strings.Lines(mediaTypeLines) {
		mediaType, extensions, _ := strings.Cut(line, "\t")
		for extension := range strings.FieldsSeq(extensions) {
			types[extension] = mediaType
		}
	}
	return types
})
