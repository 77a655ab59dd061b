package refusal

import (
	"fmt"

	"fapws/runtime/http1"
)

// pageStyle is that of all pages of the server.
const pageStyle = `:root{color-scheme:light dark}body{font:1.1em/1.5 system-ui,sans-serif;` +
	`max-width:36em;margin:20vh auto;padding:0 1em}h1{font-size:1.6em}`

// appendPage appends the server's page in HTML for a status.
func appendPage(dst []byte, status int, text string) []byte {
	phrase := http1.StatusText(status)
	dst = append(dst, `<!doctype html><html lang="en"><head><meta charset="utf-8">`+
		`<meta name="viewport" content="width=device-width"><title>`...)
	dst = fmt.Appendf(dst, "%d %s", status, phrase)
	dst = append(dst, `</title><style>`+pageStyle+`</style></head><body>`...)
	dst = fmt.Appendf(dst, "<h1>%d %s</h1>", status, phrase)
	if text != "" && text != phrase {
		dst = append(dst, "<p>"...)
		dst = appendEscaped(dst, text)
		dst = append(dst, "</p>"...)
	}
	return append(dst, "</body></html>\n"...)
}

func appendEscaped(dst []byte, text string) []byte {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '<':
			dst = append(dst, "&lt;"...)
		case '>':
			dst = append(dst, "&gt;"...)
		case '&':
			dst = append(dst, "&amp;"...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
