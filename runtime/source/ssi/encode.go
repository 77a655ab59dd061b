package ssi

import (
	"encoding/base64"
	"strconv"
	"strings"
)

// recode applies a list of codings ("url", "base64,entity") to s with the
// functions in table. ok is false for a name that is not in it.
func recode(s, list string, table map[string]func(string) string) (result, unknown string, ok bool) {
	for _, name := range strings.FieldsFunc(list, func(c rune) bool { return c == ',' || c == ' ' || c == '\t' }) {
		f := table[strings.ToLower(name)]
		if f == nil {
			return s, name, false
		}
		s = f(s)
	}
	return s, "", true
}

var encoders = map[string]func(string) string{
	"none":       func(s string) string { return s },
	"url":        escapeURL,
	"urlencoded": escapeForm,
	"base64":     func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"entity":     escapeHTML,
}

var decoders = map[string]func(string) string{
	"none":       func(s string) string { return s },
	"url":        unescapeURL,
	"urlencoded": func(s string) string { return unescapeURL(strings.ReplaceAll(s, "+", " ")) },
	"base64":     decodeBase64,
	"entity":     unescapeHTML,
}

var htmlEscaper = strings.NewReplacer("<", "&lt;", ">", "&gt;", "&", "&amp;", `"`, "&quot;")

func escapeHTML(s string) string { return htmlEscaper.Replace(s) }

// escapeURL encodes the characters that are not allowed in the path of a URL.
func escapeURL(s string) string { return escapePercent(s, "$-_.+!*'(),:;@&=/~", false) }

// escapeForm encodes a value of a form (application/x-www-form-urlencoded).
func escapeForm(s string) string { return escapePercent(s, ".-*_", true) }

func escapePercent(s, keep string, plus bool) string {
	const hex = "0123456789abcdef"
	b := make([]byte, 0, len(s))
	for i := range len(s) {
		switch c := s[i]; {
		case isAlnum(c) || strings.IndexByte(keep, c) >= 0:
			b = append(b, c)
		case plus && c == ' ':
			b = append(b, '+')
		default:
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

func isAlnum(c byte) bool { return isLetter(c) || isDigit(c) }

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// unescapeURL decodes %XX; a "%" without two hex digits stays. A NUL ends the text, as it does for programs in C.
func unescapeURL(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				if v == 0 {
					break
				}
				b = append(b, byte(v))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

// decodeBase64 decodes up to the first byte that is none of it.
func decodeBase64(s string) string {
	n := 0
	for n < len(s) && (isAlnum(s[n]) || s[n] == '+' || s[n] == '/') {
		n++
	}
	if n%4 == 1 {
		n--
	}
	b, _ := base64.RawStdEncoding.DecodeString(s[:n])
	text, _, _ := strings.Cut(string(b), "\x00")
	return text
}

// maxEntity is the length of the longest entity that is looked for, "&#1114111;".
const maxEntity = 10

// unescapeHTML decodes the entities of ISO 8859-1 and numeric references, into
// UTF-8. Unknown names stay, numbers of no character go.
func unescapeHTML(s string) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '&')
		if i < 0 {
			break
		}
		b.WriteString(s[:i])
		s = s[i:]
		end := strings.IndexByte(s[:min(len(s), maxEntity)], ';')
		if end < 0 {
			b.WriteByte('&')
			s = s[1:]
			continue
		}
		name := s[1:end]
		if number, ok := strings.CutPrefix(name, "#"); ok {
			v, err := strconv.ParseUint(number, 10, 32)
			if err == nil && (v == '\t' || v == '\n' || 32 <= v && v < 127 || v > 160 && v <= 0x10ffff) {
				b.WriteRune(rune(v))
			}
			s = s[end+1:]
			continue
		}
		if c, ok := entities[name]; ok {
			b.WriteRune(c)
			s = s[end+1:]
		} else {
			b.WriteByte('&')
			s = s[1:]
		}
	}
	b.WriteString(s)
	return b.String()
}

var entities = map[string]rune{
	"lt": '<', "gt": '>', "amp": '&', "quot": '"',
	"Agrave": 'À', "Aacute": 'Á', "Acirc": 'Â', "Atilde": 'Ã', "Auml": 'Ä', "Aring": 'Å', "AElig": 'Æ', "Ccedil": 'Ç',
	"Egrave": 'È', "Eacute": 'É', "Ecirc": 'Ê', "Euml": 'Ë', "Igrave": 'Ì', "Iacute": 'Í', "Icirc": 'Î', "Iuml": 'Ï',
	"ETH": 'Ð', "Ntilde": 'Ñ', "Ograve": 'Ò', "Oacute": 'Ó', "Ocirc": 'Ô', "Otilde": 'Õ', "Ouml": 'Ö',
	"Oslash": 'Ø', "Ugrave": 'Ù', "Uacute": 'Ú', "Ucirc": 'Û', "Uuml": 'Ü', "Yacute": 'Ý', "THORN": 'Þ', "szlig": 'ß',
	"agrave": 'à', "aacute": 'á', "acirc": 'â', "atilde": 'ã', "auml": 'ä', "aring": 'å', "aelig": 'æ', "ccedil": 'ç',
	"egrave": 'è', "eacute": 'é', "ecirc": 'ê', "euml": 'ë', "igrave": 'ì', "iacute": 'í', "icirc": 'î', "iuml": 'ï',
	"eth": 'ð', "ntilde": 'ñ', "ograve": 'ò', "oacute": 'ó', "ocirc": 'ô', "otilde": 'õ', "ouml": 'ö',
	"oslash": 'ø', "ugrave": 'ù', "uacute": 'ú', "ucirc": 'û', "uuml": 'ü', "yacute": 'ý', "thorn": 'þ', "yuml": 'ÿ',
}

// escapeShell puts a backslash before characters that a shell would not take literally.
func escapeShell(s string) string {
	b := make([]byte, 0, len(s))
	for i := range len(s) {
		if strings.IndexByte("&;`'\"|*?~<>^()[]{}$\\\n", s[i]) >= 0 {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return string(b)
}

// nameLen returns the length of the name that s begins with.
func nameLen(s string) int {
	n := 0
	for n < len(s) && (isAlnum(s[n]) || s[n] == '_') {
		n++
	}
	return n
}
