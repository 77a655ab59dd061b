package upload

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

func arriving(all ...string) func() ([]byte, error) {
	return func() ([]byte, error) {
		if len(all) == 0 {
			return nil, io.EOF
		}
		piece := all[0]
		all = all[1:]
		return []byte(piece), nil
	}
}

type contents struct {
	Fields map[string][]string
	Files  []string
	Error  string
}

func read(next func() ([]byte, error), boundary string) (c contents) {
	f := newForm(next, boundary)
	c.Fields = f.Fields
	for {
		file, part, err := f.nextFile()
		if err == io.EOF {
			return c
		}
		var content strings.Builder
		if err == nil {
			err = f.copy(&content, part)
		}
		if err != nil {
			c.Error = err.Error()
			return c
		}
		c.Files = append(c.Files, fmt.Sprintf("%s %s %s %q", file.Field, file.Name, file.Type, content.String()))
	}
}

const boundary = "--x-y"

func part(disposition, more, content string) string {
	return "--" + boundary + "\r\nContent-Disposition: " + disposition + "\r\n" + more + "\r\n" + content + "\r\n"
}

const tail = "--" + boundary + "--\r\n"

var whole = "preamble\r\n" +
	part(`form-data; name="note"`, "", "one\r\ntwo") +
	part(`form-data; name="a"; filename="a b.bin"`, "Content-Type: application/x\r\n", "\x00\r\n--"+boundary[:3]+
		"\r\n--"+boundary+"x\r\n\r\n") +
	part(`form-data; name="none"; filename=""`, "Content-Type: application/octet-stream\r\n", "") +
	part(`form-data; name="a"; filename="ü.txt"`, "", "") +
	part(`form-data; name="note"`, "", "") +
	tail + "epilogue"

func TestFormHasTheSameContentsHoweverItIsSplit(t *testing.T) {
	want := contents{
		Fields: map[string][]string{"note": {"one\r\ntwo", ""}},
		Files: []string{
			fmt.Sprintf("a a b.bin application/x %q", "\x00\r\n--"+boundary[:3]+"\r\n--"+boundary+"x\r\n\r\n"),
			`a ü.txt  ""`,
		},
	}
	check := func(what string, next func() ([]byte, error)) {
		t.Helper()
		got := read(next, boundary)
		checktest.Needf(t, reflect.DeepEqual(got, want), "%s: got %+v, want %+v", what, got, want)
	}
	check("whole", arriving(whole))
	check("byte by byte", arriving(strings.Split(whole, "")...))
	for i := range whole {
		check(fmt.Sprintf("split at %d", i), arriving(whole[:i], whole[i:]))
	}
}

// Each of these forms is invalid or incomplete, and results in an error of one line.
func TestInvalidFormIsAnErrorAndNotACompleteFile(t *testing.T) {
	file := part(`form-data; name="a"; filename="x"`, "", "content")
	for name, c := range map[string]struct {
		body, want string
		status     int
	}{
		"empty":             {"", "ends before", 400},
		"cut in a file":     {file[:len(file)-4], "ends before", 400},
		"cut behind a file": {file, "ends before", 400},
		"no disposition":    {"--" + boundary + "\r\nA: b\r\n\r\nx\r\n" + tail, "Content-Disposition", 400},
		"another one":       {part(`attachment; filename="x"`, "", "y") + tail, "Content-Disposition", 400},
		"without a name":    {part(`form-data; name="a"; filename=""`, "", "y") + tail, "no name", 400},
		"long header": {part(`form-data; name="a"`, "X: "+strings.Repeat("x", maxHeader)+"\r\n", "y") + tail,
			"header", 413},
		"long preamble": {strings.Repeat("x\r\n", maxHeader) + file + tail, "header", 413},
		"long fields": {strings.Repeat(part(`form-data; name="a"`, "", strings.Repeat("y", maxFields/2)), 2) +
			tail, "more than", 413},
		"many parts": {strings.Repeat(part(`form-data; name="a"`, "", ""), maxParts+1) + tail, "more than", 413},
	} {
		f := newForm(arriving(c.body), boundary)
		var err error
		for err == nil {
			var part io.Reader
			if _, part, err = f.nextFile(); err == nil {
				err = f.copy(new(strings.Builder), part)
			}
		}
		var r *refusal
		checktest.Truef(t, errors.As(err, &r) && r.status == c.status && strings.Contains(r.text, c.want),
			"%s: %v, want %d with %q", name, err, c.status, c.want)
	}
}

func TestErrorOfTheBodyIsNotReportedAsAFormError(t *testing.T) {
	gone := errors.New("gone")
	for i := range whole {
		first := arriving(whole[:i])
		got := read(func() ([]byte, error) {
			piece, err := first()
			if err == io.EOF {
				err = gone
			}
			return piece, err
		}, boundary)
		checktest.Needf(t, got.Error == gone.Error(), "cut at %d: %q", i, got.Error)
	}
}

func FuzzForm(f *testing.F) {
	f.Add(whole, 20)
	f.Add(part(`form-data; name="a"; filename="x"`, "", "y")+tail, 1)
	f.Fuzz(func(t *testing.T, body string, at int) {
		// Skip long bodies, because the parser reads ahead and its limit for the header of a part may count bytes after
		// the header.
		if len(body) > maxHeader/2 {
			return
		}
		at = min(max(at, 0), len(body))
		one, two := read(arriving(body), boundary), read(arriving(body[:at], body[at:]), boundary)
		checktest.Equalf(t, one, two, "%q cut at %d", body, at)
	})
}
