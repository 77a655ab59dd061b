package static

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"fapws/runtime/exchange"
)

// typeTable finds the media type of a file: what Options say, else the built-in
// table.
type typeTable struct {
	own     map[string]string // by extension in lower case
	charset string            // "" for none
}

// setCharset takes Options.Charset.
func (t *typeTable) setCharset(name string) error {
	switch {
	case name == "":
		t.charset = "utf-8"
	case name == "off":
	case strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-_.:+") != "":
		return fmt.Errorf("%q is not the name of a charset", name)
	default:
		t.charset = name
	}
	return nil
}

// add takes Options.Types.
func (t *typeTable) add(types map[string]string) error {
	for _, extension := range slices.Sorted(maps.Keys(types)) {
		key := strings.ToLower(strings.TrimPrefix(extension, "."))
		if key == "" || strings.ContainsAny(key, "/\x00") {
			return fmt.Errorf("%q is not an extension", extension)
		}
		if !isMediaType(types[extension]) {
			return fmt.Errorf("%q for %q is not a media type", types[extension], extension)
		}
		t.own[key] = types[extension]
	}
	return nil
}

// read reads Apache's mime.types: on each line a media type and the extensions
// that it is for, if any; a number sign begins a comment.
func (t *typeTable) read(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", path, reason(err))
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		if !isMediaType(words[0]) {
			return fmt.Errorf("%s:%d: %q is not a media type", path, n, words[0])
		}
		for _, extension := range words[1:] {
			t.own[strings.ToLower(strings.TrimPrefix(extension, "."))] = words[0]
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("cannot read %s: %w", path, reason(err))
	}
	return nil
}

// isMediaType checks for "type/subtype", with or without parameters, that a
// line of a head can hold.
func isMediaType(s string) bool {
	kind, _, _ := strings.Cut(s, ";")
	one, two, found := strings.Cut(strings.TrimSpace(kind), "/")
	const odd = " \t\"(),/:;<=>?@[\\]{}" // RFC 9110 §5.6.2
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return found && one != "" && two != "" && !strings.ContainsAny(one, odd) && !strings.ContainsAny(two, odd)
}

// of returns the media type of a file by its name or path.
func (t *typeTable) of(name string) string {
	base := name[strings.LastIndexByte(name, '/')+1:]
	key := base[strings.LastIndexByte(base, '.')+1:]
	if own, ok := t.own[strings.ToLower(key)]; ok {
		return t.withCharset(own)
	}
	return t.withCharset(exchange.MediaTypeByName(name))
}

// withCharset adds the charset to a textual type, or takes the built-in one away.
func (t *typeTable) withCharset(mediaType string) string {
	kind, parameters, found := strings.Cut(mediaType, "; ")
	switch {
	case found && parameters != "charset=utf-8":
		return mediaType // said in so many words
	case t.charset == "" || !textual(kind):
		return kind
	}
	return kind + "; charset=" + t.charset
}

// textual reports whether a type is one of characters, of which a charset can
// be said: text, JavaScript, JSON and XML.
func textual(kind string) bool {
	kind = strings.ToLower(kind)
	if strings.HasPrefix(kind, "text/") || strings.HasSuffix(kind, "+xml") || strings.HasSuffix(kind, "+json") {
		return true
	}
	switch kind {
	case "application/javascript", "application/x-javascript", "application/json", "application/json5", "application/jsonl",
		"application/toml", "application/x-ndjson", "application/x-subrip", "application/xml", "application/xml-dtd", "application/yaml":
		return true
	}
	return false
}
