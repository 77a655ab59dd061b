package route

import (
	"bytes"
	"testing"

	"fapws/runtime/checktest"
)

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"/a", "//evil.example", "/\\x", "/%0d%0a", "/a?b", "/\r\nX: y", "/.evil.example",
		"/@evil"} {
		f.Add(s, "q=1")
	}
	var templates []Template
	for _, target := range []string{"${path}", "/x${rest}?${query}", "/${rest}", "/${query}",
		"https://safe.example${path}", "https://safe.example${rest}?${query}", "https://safe.example/$1"} {
		parsed := checktest.Try(ParseTemplate(target, VarPath, VarRest, VarQuery)).Must(f)
		templates = append(templates, parsed)
	}
	f.Fuzz(func(t *testing.T, path, query string) {
		for i := range templates {
			for _, v := range []Values{
				{path: []byte(path), rest: []byte(path), query: []byte(query)},
				{path: AppendPath(nil, []byte(path)), rest: AppendPath(nil, []byte(path)), query: []byte(query)},
			} {
				got := templates[i].Append(nil, &v)
				for _, c := range got {
					checktest.Needf(t, c > ' ' && c < 0x7f, "%q has %q", got, c)
				}
				if i >= 4 {
					rest, ok := bytes.CutPrefix(got, []byte("https://safe.example"))
					checktest.Needf(t, ok && (len(rest) == 0 || rest[0] == '/' || rest[0] == '?'), "%q is another host", got)
				} else if bytes.HasPrefix(got, []byte("//")) || bytes.HasPrefix(got, []byte("/\\")) {
					t.Fatalf("%q is another host", got)
				}
			}
		}
	})
}
