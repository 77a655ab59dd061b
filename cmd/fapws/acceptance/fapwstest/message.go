package fapwstest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

func Get(target string, fields ...string) string { return Request("GET", target, "", fields...) }

// Request returns the text of a request with the field Host, and with Content-Length if there is a body.
func Request(method, target, body string, fields ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: test\r\n", method, target)
	for _, f := range fields {
		b.WriteString(f + "\r\n")
	}
	if body != "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	return b.String() + "\r\n" + body
}

func Chunked(method, target, body string, size int, fields ...string) string {
	var b strings.Builder
	b.WriteString(strings.TrimSuffix(Request(method, target, "", append(fields, "Transfer-Encoding: chunked")...), ""))
	for ; len(body) > size; body = body[size:] {
		fmt.Fprintf(&b, "%x\r\n%s\r\n", size, body[:size])
	}
	if body != "" {
		fmt.Fprintf(&b, "%X;name=\"a;b\"\r\n%s\r\n", len(body), body)
	}
	return b.String() + "0\r\n\r\n"
}

type Answer struct {
	*http.Response
	Text string
	Err  error // Err is nil if the body is complete.
}

// Want fails unless the response has this status and a complete body that contains each text.
func (a *Answer) Want(t *testing.T, status int, texts ...string) *Answer {
	t.Helper()
	Needf(t, a.StatusCode == status && a.Err == nil, "status %d, want %d; %v; body: %.500q", a.StatusCode, status, a.Err,
		a.Text)
	for _, text := range texts {
		Truef(t, strings.Contains(a.Text, text), "no %q in the body: %.500q", text, a.Text)
	}
	return a
}

// Is fails unless the response has status 200 and exactly this body.
func (a *Answer) Is(t *testing.T, body string) *Answer {
	t.Helper()
	a.Want(t, 200)
	Equalf(t, a.Text, body, "body")
	return a
}

// Field fails unless the field has this value, the values of several joined, and so each next pair in extra.
func (a *Answer) Field(t *testing.T, name, want string, extra ...string) *Answer {
	t.Helper()
	Equalf(t, strings.Join(a.Header.Values(name), ", "), want, "%s", name)
	if len(extra) > 0 {
		a.Field(t, extra[0], extra[1], extra[2:]...)
	}
	return a
}

func (a *Answer) Number(t *testing.T) int {
	t.Helper()
	return Try(strconv.Atoi(a.Text)).Must(t)
}

func (a *Answer) Object(t *testing.T) map[string]any {
	t.Helper()
	var object map[string]any
	Mustf(t, json.NewDecoder(strings.NewReader(a.Text)).Decode(&object), "%.300q", a.Text)
	return object
}
