package main

import (
	"strings"
	"testing"

	"fapws/cmd/fapws/settings"
	"fapws/runtime/checktest"
)

func TestWebconfIsConvertedToTOML(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string
		notes      []string
	}{
		{"as the course has it",
			"host default web\nhost localhost:8080 /srv/web\r\n\nmedia txt text/plain\nmedia html " +
				"text/html\nparameter timeout 1\n",
			[]string{"keep-alive = 1.0", "head-timeout = 1.0", "[types]", `txt = "text/plain"`, `html = "text/html"`,
				"default = true", `root = "web"`, `name = "localhost"`, `root = "/srv/web"`},
			[]string{`web.conf:2: ignored the port "8080" of localhost: hosts are distinguished by name`}},
		{"comments and odd spelling",
			"# mine\n  HOST\tA.Lan\t\"x\\y\" # the first\nmedia .tar.gz application/gzip\nmedia jpg " +
				"image/jpeg\nmedia jpg image/x-jpeg\nparameter timeout 9\nparameter Timeout 2.5",
			[]string{`name = "a.lan"`, `root = "\"x\\y\""`, `"tar.gz" = "application/gzip"`, `jpg = "image/x-jpeg"`,
				"keep-alive = 2.5"},
			[]string{"web.conf:5: media jpg already appears on line 4: this one applies",
				"web.conf:7: parameter timeout already appears on line 6: this one applies"}},
		{"what is left out",
			"hots a b\nhost a.lan\nhost a.lan w\nhost a.lan v\nhost ../x v\nmedia txt plain\nparameter timeout " +
				"soon\nparameter threads 4\nparameter port 8080\nlisten 80 on all",
			[]string{`root = "w"`, "port = 8080"},
			[]string{
				`web.conf:1: "hots" is not host, media or parameter: skipped, did you mean host?`,
				"web.conf:2: host takes two words, not 1: skipped",
				"web.conf:4: host a.lan already appears on line 3: skipped",
				`web.conf:5: "../x" is not a host name: skipped`,
				`web.conf:6: "plain" is not a media type: skipped`,
				`web.conf:7: parameter "timeout": "soon" is not a time in seconds: skipped`,
				`web.conf:8: parameter "threads": fapws has no such parameter: skipped`,
				`web.conf:10: "listen" is not host, media or parameter: skipped`,
			}},
	} {
		file, notes, err := convertWebconf("web.conf", []byte(tt.text))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		for _, line := range tt.want {
			checktest.Truef(t, strings.Contains(file, line+"\n"), "%s: no line %s in\n%s", tt.name, line, file)
		}
		got, want := strings.Join(notes, "\n"), strings.Join(tt.notes, "\n")
		checktest.Equalf(t, got, want, "%s: notes", tt.name)
		_, err = settings.ParseTOML("fapws.toml", "/", []byte(file))
		checktest.Equalf(t, err, nil, "%s: in %s", tt.name, file)
	}
	_, _, err := convertWebconf("web.conf", []byte("media a b/c\n"))
	checktest.Truef(t, err != nil && err.Error() == "web.conf: found no line of the form: host DOMAIN DIRECTORY",
		"without a host: %v", err)
}

func FuzzConvertWebconf(f *testing.F) {
	f.Add("host default web\nmedia txt text/plain\nparameter timeout 1\n")
	f.Add("host a \"\\\x01\x7f\nmedia \" a/b\nparameter port 99999\nparameter x \x00\n")
	f.Add("host a b" + strings.Repeat("\x1a", 15000) + "\n")
	f.Add("host a b" + strings.Repeat("\x1a", 2000) + "\n")
	f.Add("host a b\n" + strings.Repeat("media ext text/"+strings.Repeat("x", 500)+"\n", 100))
	f.Fuzz(func(t *testing.T, text string) {
		file, _, err := convertWebconf("web.conf", []byte(text))
		if err != nil {
			return
		}
		_, err = settings.ParseTOML("fapws.toml", "/", []byte(file))
		checktest.Mustf(t, err, "%s", file)
	})
}
