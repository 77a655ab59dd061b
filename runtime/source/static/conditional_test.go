package static

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/http1"
)

func TestEntityTagsAreMatched(t *testing.T) {
	for _, c := range checktest.Cases(t, "testdata/tags.txt", 3) {
		for i, weakToo := range []bool{false, true} {
			checktest.Equalf(t, matchesTag([]byte(c[0]), []byte(`"a"`), weakToo), c[1+i] == "yes",
				"%s, weak too %v", c[0], weakToo)
		}
	}
}

var (
	before = old.Add(-time.Second).Format(http1.DateFormat)
	after  = old.Add(time.Second).Format(http1.DateFormat)
)

func TestConditionsAndRangesAreObeyed(t *testing.T) {
	// Without this setting, net/http of Go 1.27 sends the whole file for several ranges if the module requires Go 1.25.
	t.Setenv("GODEBUG", "httpservecontentmaxranges=200")
	const content = "0123456789"
	f := serve(t, Options{Root: tree(t, map[string]string{"a": content})})
	tag := get(t, f, request(t, "", "GET", "/a")).get("Etag")
	named := strings.NewReplacer("TAG", tag, "OLD", oldDate, "BEFORE", before, "AFTER", after,
		"RFC850", old.Format("Monday, 02-Jan-06 15:04:05 GMT"), "ANSIC", old.Format(time.ANSIC))
	for _, c := range checktest.Cases(t, "testdata/conditions.txt", 4) {
		unlike, status, body := c[0], c[1], strings.Trim(c[2], "-")
		t.Run(c[3], func(t *testing.T) {
			var fields []string
			if c[3] != "-" {
				fields = strings.Split(named.Replace(c[3]), "|")
			}
			a := get(t, f, request(t, "", "GET", "/a", fields...))
			checktest.Needf(t, strconv.Itoa(a.status) == status, "%+v", a)
			checktest.Truef(t, body == "" || a.body == body, "body %q", a.body)
			checktest.Truef(t, a.status != 416 || a.get("Content-Range") == "bytes */10", "%+v", a)
			checktest.Truef(t, a.status != 304 ||
				a.get("Etag") == tag && a.get("Cache-Control") != "" && a.get("Content-Type") == "" && a.length == -1, "%+v", a)

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
			checktest.Equalf(t, same, unlike == "",
				"net/http: %d %v %q, expected difference: %q", theirs.Code, theirs.Header(), theirs.Body, unlike)
		})
	}
}

func TestRangesAreParsed(t *testing.T) {
	long := [][]string{
		{"1000", strings.Repeat("[0 1]", maxRanges), "bytes=" + strings.Repeat("0-0,", maxRanges-1) + "0-0"},
		{"1000", "whole", "bytes=" + strings.Repeat("0-0,", maxRanges) + "0-0"},
		{"1000", "whole", "bytes=" + strings.Repeat("2000-,", maxRanges) + "0-0"},
	}
	for _, c := range append(checktest.Cases(t, "testdata/ranges.txt", 3), long...) {
		size := checktest.Try(strconv.ParseInt(c[0], 10, 64)).Must(t)
		got := ""
		switch set, ok := appendRanges(nil, []byte(strings.ReplaceAll(c[2], `\t`, "\t")), size); {
		case !ok:
			got = "whole"
		case len(set) == 0:
			got = "unsatisfiable"
		default:
			for _, r := range set {
				got += fmt.Sprintf("[%d %d]", r.start, r.count)
			}
		}
		checktest.Equalf(t, got, c[1], "%q of %s", c[2], c[0])
	}
}
