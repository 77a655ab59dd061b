package main

import (
	"testing"

	"fapws/runtime/checktest"
)

func TestRequestIsSplitIntoHeadAndBody(t *testing.T) {
	get := "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
	post := "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"
	for _, c := range []struct {
		input, head, body string
		fails             bool
	}{
		{input: ""},
		{input: get[:len(get)-1]},
		{input: get, head: get},
		{input: get + get, head: get},
		{input: post + "ab"},
		{input: post + "abc" + get, head: post, body: "abc"},
		{input: "POST / HTTP/1.1\r\n\r\n", fails: true},
		{input: "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", fails: true},
	} {
		head, body, err := split([]byte(c.input))
		checktest.Truef(t, (err != nil) == c.fails && (c.fails || string(head) == c.head && string(body) == c.body),
			"split(%q) = %q, %q, %v", c.input, head, body, err)
	}
}
