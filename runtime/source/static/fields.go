package static

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"fapws/runtime/compress"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/system"
)

const noSniff = "X-Content-Type-Options: nosniff\r\n"

var (
	failed      = []byte(noSniff)
	wrongMethod = []byte("Allow: GET, HEAD\r\n" + noSniff)
	overloaded  = []byte("Retry-After: 1\r\n" + noSniff)
	movedText   = []byte("301 Moved Permanently\n")
)

func (response *FileResponse) fail(status int) {
	fields := failed
	switch status {
	case 405:
		fields = wrongMethod
	case 503:
		fields = overloaded
	}
	response.Head = exchange.Head{Status: status, Fields: fields}
}

// failRange creates a 416 (RFC 9110 §15.5.17).
func (response *FileResponse) failRange(size int64) {
	b := append(response.scratch[:0], "Content-Range: bytes */"...)
	b = strconv.AppendInt(b, size, 10)
	response.scratch = append(b, "\r\nAccept-Ranges: bytes\r\n"+noSniff...)
	response.Head = exchange.Head{Status: 416, Fields: response.scratch}
}

func (response *FileResponse) redirect(req *FileRequest) {
	b := append(response.scratch[:0], "Location: "...)
	b = slashLocation(b, req.Prefix, req.Parsed.Path.In(req.Head), req.Parsed.Query.In(req.Head))
	response.scratch = append(b, "\r\nContent-Type: "+exchange.TextType+"\r\n"+noSniff...)
	response.Head = exchange.Head{Status: 301, Fields: response.scratch, Length: int64(len(movedText))}
	if !req.Parsed.Head {
		response.Segments = append(response.Segments[:0], Segment{Data: movedText})
	}
}

// A controlTable maps files to values of Cache-Control.
type controlTable struct {
	rules []expire
	other string // value for files that match no rule
}

func (t *controlTable) of(name string) string {
	for i := range t.rules {
		e := &t.rules[i]
		of := name[strings.LastIndexByte(name, '/')+1:]
		if e.whole {
			of = "/" + name
		}
		if e.pattern.MatchString(of) {
			return e.control
		}
	}
	return t.other
}

type expire struct {
	pattern *regexp.Regexp
	// the pattern is compared with the path below the root, not only with the file's name
	whole   bool
	control string
}

// parseExpire parses "PATTERN=VALUE". A pattern with a slash is compared with the whole path below the root, as in
// "/img/*"; other patterns are compared with the file's name, as in "*.css". "*" matches any characters, and "?"
// matches one character. The value is a duration such as "30d", "immutable" (for a year), a duration followed by
// "immutable", "no-cache", "no-store", or "off" to omit Cache-Control. The units of a duration are s, m, h, d, w and y;
// the default is seconds.
func parseExpire(rule string) (e expire, err error) {
	at := strings.LastIndexByte(rule, '=')
	if at < 1 {
		return e, fmt.Errorf("%q is not of the form \"*.css=30d\"", rule)
	}
	pattern, value := strings.TrimSpace(rule[:at]), strings.TrimSpace(rule[at+1:])
	e.whole = strings.Contains(pattern, "/")
	text := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern))
	if e.pattern, err = regexp.Compile("(?s)^" + text + "$"); err != nil {
		return e, fmt.Errorf("%q: %w", rule, err)
	}
	switch value {
	case "off":
		return e, nil
	case "no-cache", "no-store":
		e.control = value
		return e, nil
	case "immutable":
		value = "1y immutable"
	}
	age, immutable, more := strings.Cut(value, " ")
	seconds, ok := parseAge(age)
	if !ok || more && strings.TrimSpace(immutable) != "immutable" {
		return e, fmt.Errorf("%q: %q is not a time such as 30d, or immutable, no-cache, no-store or off", rule, value)
	}
	e.control = maxAge(seconds)
	if more {
		e.control += ", immutable"
	}
	return e, nil
}

// maxAge does not permit a shared cache to store a response that needs Authorization, as public would (RFC 9111 §3.5).
func maxAge(seconds int) string { return "max-age=" + strconv.Itoa(seconds) }

// parseAge parses a duration and returns it in seconds, at most 2³¹-1 (RFC 9111 §1.2.2).
func parseAge(s string) (seconds int, ok bool) {
	if s == "" {
		return 0, false
	}
	units := map[byte]int{'s': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 7 * 86400, 'y': 365 * 86400}
	unit := 1
	if u := units[s[len(s)-1]]; u != 0 {
		unit, s = u, s[:len(s)-1]
	}
	n, err := strconv.ParseUint(s, 10, 31)
	return min(int(min(n, 1<<31-1)*uint64(unit)), 1<<31-1), err == nil
}

func headerLines(headers map[string]string) (string, error) {
	var lines []byte
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		f := http1.HeaderField{Name: name, Value: headers[name]}
		if err := f.Check(); err != nil {
			return "", err
		}
		lines = f.AppendTo(lines)
	}
	return string(lines), nil
}

// A typeTable maps files to media types. Media types from Options override the built-in media types.
type typeTable struct {
	own     map[string]string // types from Options by extension in lower case
	charset string
}

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

// read parses Apache's mime.types: each line is a media type, followed by extensions, if any. "#" begins a comment.
func (t *typeTable) read(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", path, system.Cause(err))
	}
	for n, line := range strings.Split(string(text), "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if !isMediaType(words[0]) {
			return fmt.Errorf("%s:%d: %q is not a media type", path, n+1, words[0])
		}
		for _, extension := range words[1:] {
			t.own[strings.ToLower(strings.TrimPrefix(extension, "."))] = words[0]
		}
	}
	return nil
}

func isMediaType(s string) bool {
	kind, _, _ := strings.Cut(s, ";")
	one, two, _ := strings.Cut(strings.TrimSpace(kind), "/")
	unprintable := strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c >= 0x7f })
	// Type and subtype are tokens and have the same syntax as field names.
	return httpguts.ValidHeaderFieldName(one) && httpguts.ValidHeaderFieldName(two) && !unprintable
}

func (t *typeTable) of(name string) string {
	base := name[strings.LastIndexByte(name, '/')+1:]
	key := base[strings.LastIndexByte(base, '.')+1:]
	if own, ok := t.own[strings.ToLower(key)]; ok {
		return t.withCharset(own)
	}
	return t.withCharset(http1.MediaTypeByName(name))
}

func (t *typeTable) withCharset(mediaType string) string {
	kind, parameters, found := strings.Cut(mediaType, "; ")
	switch {
	case found && parameters != "charset=utf-8":
		return mediaType // leave a media type with parameters unchanged
	case t.charset == "" || !compress.Textual(kind):
		return kind
	}
	return kind + "; charset=" + t.charset
}
