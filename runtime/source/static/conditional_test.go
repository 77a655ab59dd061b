package static

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"fapws/runtime/http1"
)

func TestEntityTagsAreMatched(t *testing.T) {
	for _, c := range []struct {
		list         string
		strong, weak bool
	}{
		{`"a"`, true, true},
		{`W/"a"`, false, true},
		{`w/"a"`, false, false},
		{`*`, true, true},
		{`"b", "a"`, true, true},
		{`"b","a"`, true, true},
		{`,, "b" ,W/"a",`, false, true},
		{`"b", *`, true, true},
		{`"b"`, false, false},
		{`"A"`, false, false},
		{`a`, false, false},
		{`"a`, false, false},
		{`a"`, false, false},
		{``, false, false},
		{`W/`, false, false},
		// This entity tag contains a comma, and the unquoted letter a after it is malformed.
		{`"x,"a"`, false, false},
		{`"b" "a"`, true, true},
		{`junk, "a"`, false, false},
	} {
		if got := matchesTag([]byte(c.list), []byte(`"a"`), false); got != c.strong {
			t.Errorf("%s, strong: %v", c.list, got)
		}
		if got := matchesTag([]byte(c.list), []byte(`"a"`), true); got != c.weak {
			t.Errorf("%s, weak: %v", c.list, got)
		}
	}
}

var (
	before = old.Add(-time.Second).Format(http1.DateFormat)
	after  = old.Add(time.Second).Format(http1.DateFormat)
)

var conditions = []struct {
	fields string
	status int
	body   string
	unlike string
}{
	{"", 200, "0123456789", ""},
	// If-None-Match (RFC 9110 §13.1.2)
	{"If-None-Match: TAG", 304, "", ""},
	{"If-None-Match: W/TAG", 304, "", ""},
	{`If-None-Match: "x", TAG`, 304, "", ""},
	{`If-None-Match: "x"`, 200, "0123456789", ""},
	{"If-None-Match: *", 304, "", ""},
	{`If-None-Match: "x"|If-None-Match: TAG`, 304, "", "it reads the first field only"},
	{`If-None-Match: "x"|If-Modified-Since: ` + after, 200, "0123456789", ""},
	{"If-None-Match: TAG|If-Modified-Since: " + before, 304, "", ""},
	{"IF-NONE-MATCH: TAG", 304, "", ""},
	// If-Modified-Since (RFC 9110 §13.1.3)
	{"If-Modified-Since: " + oldDate, 304, "", ""},
	{"If-Modified-Since: " + after, 304, "", ""},
	{"If-Modified-Since: " + before, 200, "0123456789", ""},
	{"If-Modified-Since: " + old.Format("Monday, 02-Jan-06 15:04:05 GMT"), 304, "", ""},
	{"If-Modified-Since: " + old.Format(time.ANSIC), 304, "", ""},
	{"If-Modified-Since: nonsense", 200, "0123456789", ""},
	{"If-Modified-Since: " + after + "|If-Modified-Since: " + after, 200, "0123456789",
		"it reads the first field only"},
	// If-Match (RFC 9110 §13.1.1)
	{"If-Match: TAG", 200, "0123456789", ""},
	{`If-Match: "x", TAG`, 200, "0123456789", ""},
	{"If-Match: *", 200, "0123456789", ""},
	{`If-Match: "x"`, 412, "", ""},
	{"If-Match: W/TAG", 412, "", ""},
	{`If-Match: "x"|If-Match: TAG`, 200, "0123456789", "it reads the first field only"},
	{"If-Match: TAG|If-Unmodified-Since: " + before, 200, "0123456789", ""},
	{`If-Match: "x"|If-None-Match: TAG`, 412, "", ""},
	{"If-Match: TAG|If-None-Match: TAG", 304, "", ""},
	// If-Unmodified-Since (RFC 9110 §13.1.4)
	{"If-Unmodified-Since: " + oldDate, 200, "0123456789", ""},
	{"If-Unmodified-Since: " + after, 200, "0123456789", ""},
	{"If-Unmodified-Since: " + before, 412, "", ""},
	{"If-Unmodified-Since: nonsense", 200, "0123456789", ""},
	{"If-Unmodified-Since: " + oldDate + "|If-Modified-Since: " + oldDate, 304, "", ""},
	// Range (RFC 9110 §14.2)
	{"Range: bytes=0-3", 206, "0123", ""},
	{"Range: bytes=4-", 206, "456789", ""},
	{"Range: bytes=-4", 206, "6789", ""},
	{"Range: bytes=0-", 206, "0123456789", ""},
	{"Range: bytes=8-100", 206, "89", ""},
	{"Range: bytes=-100", 206, "0123456789", ""},
	{"Range: bytes=10-", 416, "", ""},
	{"Range: bytes=5-4", 200, "0123456789", "it answers 416 to what is no range"},
	{"Range: bytes=x", 200, "0123456789", "it answers 416 to what is no range"},
	{"Range: lines=0-3", 200, "0123456789", "it answers 416 to what is no range"},
	{"Range: bytes=-0", 416, "", "it sends an empty part"},
	{"Range: bytes=0-1,20-30", 206, "01", ""},
	{"Range: bytes=0-7,0-7", 200, "0123456789", ""},
	{"Range: bytes=0-1|Range: bytes=0-1", 200, "0123456789", "it reads the first field only"},
	{"Range: bytes=0-3|If-None-Match: TAG", 304, "", ""},
	{`Range: bytes=0-3|If-Match: "x"`, 412, "", ""},
	{"Range: bytes=20-|If-Modified-Since: " + oldDate, 304, "", ""},
	// If-Range (RFC 9110 §13.1.5)
	{"Range: bytes=0-3|If-Range: TAG", 206, "0123", ""},
	{`Range: bytes=0-3|If-Range: "x"`, 200, "0123456789", ""},
	{"Range: bytes=0-3|If-Range: W/TAG", 200, "0123456789", ""},
	{"Range: bytes=0-3|If-Range: " + oldDate, 206, "0123", ""},
	{"Range: bytes=0-3|If-Range: " + before, 200, "0123456789", ""},
	{"Range: bytes=0-3|If-Range: " + after, 200, "0123456789", ""},
	{"Range: bytes=0-3|If-Range: *", 200, "0123456789", ""},
	{"Range: bytes=0-3|If-Range: nonsense", 200, "0123456789", ""},
	{"Range: bytes=0-3|If-Range: TAG|If-Range: TAG", 200, "0123456789", "it reads the first field only"},
	{`Range: bytes=20-|If-Range: "x"`, 200, "0123456789", ""},
	{"If-Range: TAG", 200, "0123456789", ""},
}

func TestConditionsAndRangesAreObeyed(t *testing.T) {
	// Without this setting, net/http of Go 1.27 sends the whole file for several ranges if the module requires Go 1.25.
	t.Setenv("GODEBUG", "httpservecontentmaxranges=200")
	const content = "0123456789"
	f := serve(t, Options{Root: tree(t, map[string]string{"a": content})})
	tag := get(t, f, request(t, "", "GET", "/a")).get("Etag")
	for _, c := range conditions {
		t.Run(c.fields, func(t *testing.T) {
			var fields []string
			if c.fields != "" {
				fields = strings.Split(strings.ReplaceAll(c.fields, "TAG", tag), "|")
			}
			a := get(t, f, request(t, "", "GET", "/a", fields...))
			if a.status != c.status {
				t.Fatalf("%+v", a)
			}
			if c.body != "" && a.body != c.body {
				t.Errorf("body %q", a.body)
			}
			if a.status == 416 && a.get("Content-Range") != "bytes */10" {
				t.Errorf("%+v", a)
			}
			if a.status == 304 && (a.get("Etag") != tag || a.get("Cache-Control") == "" ||
				a.get("Content-Type") != "" || a.length != -1) {
				t.Errorf("%+v", a)
			}

			theirs := httptest.NewRecorder()
			theirs.Header().Set("ETag", tag)
			theirs.Header().Set("Content-Type", "application/octet-stream")
			r := httptest.NewRequest("GET", "/a", nil)
			for _, field := range fields {
				name, value, _ := strings.Cut(field, ": ")
				r.Header.Add(name, value)
			}
			http.ServeContent(theirs, r, "a", old, strings.NewReader(content))
			same := theirs.Code == a.status && theirs.Header().Get("Content-Range") == a.get("Content-Range") &&
				(a.status != 200 && a.status != 206 || theirs.Body.String() == a.body)
			if same != (c.unlike == "") {
				t.Errorf("net/http: %d %v %q, expected difference: %q", theirs.Code, theirs.Header(), theirs.Body,
					c.unlike)
			}
		})
	}
}

func TestRangesAreParsed(t *testing.T) {
	for _, c := range []struct {
		value string
		size  int64
		want  string
	}{
		{"bytes=0-0", 10, "[0 1]"},
		{"bytes=9-", 10, "[9 1]"},
		{"Bytes=1-2", 10, "[1 2]"},
		{"bytes= 1-2 , 4-5\t", 10, "[1 2][4 2]"},
		{"bytes=,1-2,,", 10, "[1 2]"},
		{"bytes=8-9,0-1", 10, "[8 2][0 2]"},
		{"bytes=0-1,-0", 10, "[0 2]"},
		{"bytes=0-99999999999999999999999", 10, "[0 10]"},
		{"bytes=-99999999999999999999999", 10, "[0 10]"},

		{"bytes=10-20,30-40", 10, "unsatisfiable"},
		{"bytes=99999999999999999999999-", 10, "unsatisfiable"},

		{"", 10, "whole"},
		{"bytes", 10, "whole"},
		{"bytes=", 10, "whole"},
		{"bytes=,", 10, "whole"},
		{"bytes=-", 10, "whole"},
		{"bytes=a-b", 10, "whole"},
		{"bytes=1", 10, "whole"},
		{"bytes=1-2-3", 10, "whole"},
		{"bytes=+1-2", 10, "whole"},
		{"bytes=--1", 10, "whole"},
		{"bytes=1 - 2", 10, "whole"},
		{"bytes=0-1;2-3", 10, "whole"},
		{"bytes =0-1", 10, "whole"},
		{"bytes=0-1,x", 10, "whole"},
		{"bytes=0-", 0, "whole"},
		{"bytes=-5", 0, "whole"},
		{"bytes=0-5,5-9", 10, "whole"}, // 11 bytes of 10
		{"bytes=" + strings.Repeat("0-0,", maxRanges-1) + "0-0", 1000, strings.Repeat("[0 1]", maxRanges)},
		{"bytes=" + strings.Repeat("0-0,", maxRanges) + "0-0", 1000, "whole"},
		{"bytes=" + strings.Repeat("2000-,", maxRanges) + "0-0", 1000, "whole"},
	} {
		got := ""
		switch set, ok := appendRanges(nil, []byte(c.value), c.size); {
		case !ok:
			got = "whole"
		case len(set) == 0:
			got = "unsatisfiable"
		default:
			for _, r := range set {
				got += fmt.Sprintf("[%d %d]", r.start, r.count)
			}
		}
		if got != c.want {
			t.Errorf("%q of %d: %s, not %s", c.value, c.size, got, c.want)
		}
	}
}
