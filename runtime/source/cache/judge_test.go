package cache

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
	"fapws/runtime/waittest"
)

func TestRuleAndFieldsDecideHowLongAPageIsKept(t *testing.T) {
	const day = "Sun, 06 Nov 1994 08:49:37 GMT"
	ttl, guess := Rule{TTL: 60 * time.Second, Stale: 30 * time.Second}, Rule{Heuristic: 90 * time.Second}
	for _, tt := range []struct {
		rule     Rule
		status   int
		fields   string
		asked    string
		keep     bool
		fresh    int
		stale    int
		validate bool
	}{
		{},
		{fields: "Cache-Control: max-age=10", keep: true, fresh: 10},
		{fields: "cache-control: PUBLIC , Max-Age = 10", keep: true, fresh: 10},
		{fields: `Cache-Control: max-age="10"`, keep: true, fresh: 10},
		{fields: "Cache-Control: max-age=10, s-maxage=20", keep: true, fresh: 20},
		{fields: "Cache-Control: max-age=10|Cache-Control: max-age=5", keep: true, fresh: 5},
		{fields: "Cache-Control: max-age=10, stale-while-revalidate=7", keep: true, fresh: 10, stale: 7},
		{fields: "Cache-Control: max-age=0, stale-while-revalidate=7", keep: true, stale: 7},
		{fields: "Cache-Control: max-age=10, stale-while-revalidate=7, must-revalidate", keep: true, fresh: 10},
		{fields: "Cache-Control: max-age=0"},
		{fields: "Cache-Control: max-age=-1"},
		{fields: "Cache-Control: max-age=ten"},
		{fields: "Cache-Control: max-age"},
		{fields: "Cache-Control: max-age=10" + strings.Repeat(", a", 1000), keep: true, fresh: 10},
		{fields: "Cache-Control: max-age=10" + strings.Repeat(", a", 2000)},
		{fields: "Cache-Control: max-age=10" + strings.Repeat("|Cache-Control: a", 5000)},
		{fields: "CDN-Cache-Control: max-age=10" + strings.Repeat(", a", 2000)},
		{fields: "Cache-Control: max-age=10|Vary: Accept, X-Real-IP"},
		{fields: "Cache-Control: max-age=10|Vary: X-Forwarded-For"},
		{fields: "Cache-Control: max-age=10, private"},
		{fields: `Cache-Control: max-age=10, private="x, y"`},
		{fields: `Cache-Control: ext="a, no-store", max-age=10`, keep: true, fresh: 10},
		{fields: "Cache-Control: max-age=10|Cache-Control: no-store"},
		{fields: "Cache-Control: max-age=10, no-cache"},
		{fields: "Cache-Control: max-age=99999999999999999999", keep: true, fresh: 366 * 86400},
		{fields: "Cache-Control: max-age=10|Age: 4", keep: true, fresh: 6},
		{fields: "Cache-Control: max-age=10|Age: 10"},
		{fields: "Cache-Control: max-age=10|Set-Cookie: a=b"},
		{fields: "Cache-Control: max-age=10|SET-COOKIE: a=b"},
		{fields: "Cache-Control: max-age=10|Vary: *"},
		{fields: "Cache-Control: max-age=10|Vary: a, b, c, d, e, f, g, h, i"},
		{fields: "Cache-Control: max-age=10|Content-Type: text/event-stream; charset=utf-8"},
		{fields: "Cache-Control: max-age=10|Content-Range: bytes 0-1/2", keep: true, fresh: 10},
		{fields: "Date: " + day + "|Expires: Sun, 06 Nov 1994 08:50:37 GMT", keep: true, fresh: 60},
		{fields: "Date: " + day + "|Expires: " + day},
		{fields: "Expires: 0"},
		{fields: "Expires: Sun, 06 Nov 2094 08:50:37 GMT|Cache-Control: max-age=3", keep: true, fresh: 3},
		{status: 404, fields: "Cache-Control: max-age=10", keep: true, fresh: 10},
		{status: 302, fields: "Cache-Control: max-age=10", keep: true, fresh: 10},
		{status: 206, fields: "Cache-Control: max-age=10"},
		{status: 304, fields: "Cache-Control: max-age=10"},
		{status: 500, fields: "Cache-Control: max-age=10", keep: true, fresh: 10},
		{status: 299, fields: "Cache-Control: max-age=10", keep: true, fresh: 10},
		{status: 500, fields: "Cache-Control: max-age=10, must-understand"},
		{status: 500, fields: "Cache-Control: max-age=10, no-store, must-understand"},
		{status: 200, fields: "Cache-Control: max-age=10, no-store, must-understand", keep: true, fresh: 10},

		// pages that are kept, and that the handler must confirm for each request
		{fields: `Cache-Control: no-cache|ETag: "a"`, keep: true, validate: true},
		{fields: `Cache-Control: no-cache, max-age=10, stale-while-revalidate=5|ETag: W/"a"`, keep: true,
			validate: true},
		{fields: `Cache-Control: max-age=0|ETag: "a"`, keep: true, validate: true},
		{fields: "Cache-Control: max-age=0, must-revalidate|Last-Modified: " + day, keep: true, validate: true},
		{fields: "Expires: 0|Last-Modified: " + day, keep: true, validate: true},
		{fields: `Cache-Control: max-age=0, stale-while-revalidate=5|ETag: "a"`, keep: true, stale: 5},
		{fields: "Cache-Control: no-cache|ETag: a"},
		{fields: `Cache-Control: no-cache|ETag: "a"b"`},
		{fields: "Cache-Control: no-cache|Last-Modified: yesterday"},
		{fields: `Cache-Control: no-cache, no-store|ETag: "a"`},
		{fields: `Cache-Control: no-cache, private|ETag: "a"`},
		{fields: `Cache-Control: no-cache|ETag: "a"`, asked: "Cookie: a=b"},
		{status: 404, fields: `Cache-Control: no-cache|ETag: "a"`},
		{fields: `ETag: "a"`},
		{rule: ttl, fields: `Cache-Control: no-cache|ETag: "a"`, keep: true, validate: true},

		// After s-maxage, a page may be stale only for a time that the response itself specifies.
		{fields: "Cache-Control: s-maxage=10, stale-while-revalidate=7", keep: true, fresh: 10, stale: 7},
		{rule: ttl, fields: "Cache-Control: s-maxage=10", keep: true, fresh: 10},
		{rule: ttl, fields: "Cache-Control: max-age=10, proxy-revalidate", keep: true, fresh: 10},

		// The first value of Age is used if it is a number (RFC 9111 §5.1).
		{fields: "Cache-Control: max-age=10|Age: 4, 8", keep: true, fresh: 6},
		{fields: "Cache-Control: max-age=10|Age: 4|Age: 8", keep: true, fresh: 6},
		{fields: "Cache-Control: max-age=10|Age: 4.5", keep: true, fresh: 10},
		{fields: "Cache-Control: max-age=10|Age: -4", keep: true, fresh: 10},
		{fields: "Cache-Control: max-age=10|Age: 99999999999999999999"},

		{fields: "Date: " + day + "|Expires: Sun, 06 Nov 1994 8:50:37 GMT"},
		{fields: "Date: " + day + "|Expires: Sun, 06 Nov 1994 08:50:37 UTC"},
		{fields: "Date: " + day + "|Expires: Sun, 06 Nov 1994 08:50:37 GMT|Expires: Sun, 06 Nov 1994 08:50:37 GMT"},
		{fields: "Date: " + day + "|Expires: Sunday, 06-Nov-94 08:50:37 gmt", keep: true, fresh: 60},
		{fields: "Date: " + day + "|Expires: Sun Nov  6 08:50:37 1994", keep: true, fresh: 60},

		// CDN-Cache-Control replaces the other fields (RFC 9213).
		{fields: "CDN-Cache-Control: max-age=10", keep: true, fresh: 10},
		{fields: "CDN-Cache-Control: max-age=10|Cache-Control: no-store, private, max-age=3|Expires: 0",
			keep: true, fresh: 10},
		{fields: "CDN-Cache-Control: max-age=0|Cache-Control: max-age=10"},
		{fields: "CDN-Cache-Control: max-age=-1|Cache-Control: max-age=10"},
		{fields: "CDN-Cache-Control: no-store|Cache-Control: max-age=10"},
		{fields: "CDN-Cache-Control: private|Cache-Control: max-age=10"},
		{fields: "CDN-Cache-Control: no-cache|Cache-Control: max-age=10"},
		{fields: "CDN-Cache-Control: max-age=10;a=1|CDN-Cache-Control: x=(a \"b\";c 1.5);d, y=:YQ==:, " +
			"z=@1, must-revalidate", keep: true, fresh: 10},
		{fields: "CDN-Cache-Control: max-age=10, no-store=?0, max-age=5", keep: true, fresh: 5},
		{fields: `CDN-Cache-Control: max-age="10"|Cache-Control: max-age=3`},
		{fields: "CDN-Cache-Control: max-age=10, &&&|Cache-Control: max-age=3", keep: true, fresh: 3},
		{fields: "CDN-Cache-Control: Max-Age=10|Cache-Control: max-age=3", keep: true, fresh: 3},
		{fields: "CDN-Cache-Control: max-age =10|Cache-Control: max-age=3", keep: true, fresh: 3},
		{fields: "CDN-Cache-Control: max-age=10,|Cache-Control: max-age=3", keep: true, fresh: 3},
		{fields: "CDN-Cache-Control: |Cache-Control: max-age=3", keep: true, fresh: 3},
		{fields: `CDN-Cache-Control: a="b|Cache-Control: max-age=3`, keep: true, fresh: 3},
		{fields: "CDN-Cache-Control: a=1.2345|Cache-Control: max-age=3", keep: true, fresh: 3},
		{fields: "CDN-Cache-Control: a=(b|Cache-Control: max-age=3", keep: true, fresh: 3},

		{fields: "Date: " + day + "|Last-Modified: Sun, 06 Nov 1994 08:39:37 GMT"},
		{rule: guess, fields: "Date: " + day + "|Last-Modified: Sun, 06 Nov 1994 08:39:37 GMT", keep: true, fresh: 60},
		{rule: guess, fields: "Date: " + day + "|Last-Modified: Sat, 05 Nov 1994 08:39:37 GMT", keep: true, fresh: 90},
		{rule: guess, fields: "Date: " + day + "|Last-Modified: Sun, 06 Nov 2094 08:39:37 GMT", keep: true,
			validate: true},
		{rule: guess, fields: "Date: " + day + "|Last-Modified: Sun, 06 Nov 1994 08:39:37 GMT|Cache-Control: max-age=5",
			keep: true, fresh: 5},
		{rule: guess, fields: "Date: " + day + "|Last-Modified: long ago"},
		{rule: guess, fields: "Date: " + day},
		{rule: guess, status: 404, fields: "Date: " + day + "|Last-Modified: Sun, 06 Nov 1994 08:39:37 GMT", keep: true,
			fresh: 60},
		{rule: guess, status: 403, fields: "Date: " + day + "|Last-Modified: Sun, 06 Nov 1994 08:39:37 GMT"},
		{rule: guess, status: 403, fields: "Cache-Control: public|Date: " + day +
			"|Last-Modified: Sun, 06 Nov 1994 08:39:37 GMT", keep: true, fresh: 60},
		{fields: "Cache-Control: max-age=10", asked: "Cookie: a=b"},
		{fields: "Cache-Control: max-age=10", asked: "Authorization: x"},
		{fields: "Cache-Control: max-age=10, public", asked: "Authorization: x\r\nCookie: a=b", keep: true, fresh: 10},
		{fields: "Cache-Control: s-maxage=10", asked: "Authorization: x", keep: true, fresh: 10},

		{rule: ttl, keep: true, fresh: 60, stale: 30},
		{rule: ttl, status: 301, keep: true, fresh: 60, stale: 30},
		{rule: ttl, status: 404},
		{rule: ttl, status: 500},
		{rule: Rule{TTL: time.Second, Status: []int{404}}, status: 404, keep: true, fresh: 1},
		{rule: Rule{TTL: time.Second, Status: []int{404}}},
		{rule: ttl, fields: "Cache-Control: max-age=5", keep: true, fresh: 5, stale: 30},
		{rule: ttl, fields: "Cache-Control: must-revalidate", keep: true, fresh: 60},
		{rule: ttl, fields: "Cache-Control: private"},
		{rule: ttl, fields: "Cache-Control: no-store"},
		{rule: ttl, fields: "Expires: Thu, 01 Jan 1970 00:00:00 GMT", keep: true, stale: 30},
		{rule: Rule{TTL: time.Minute}, fields: "Expires: Thu, 01 Jan 1970 00:00:00 GMT"},
		{rule: ttl, fields: "Set-Cookie: a=b"},
		{rule: ttl, asked: "Cookie: a=b"},
		{rule: ttl, asked: "Authorization: x"},
		{rule: Rule{TTL: time.Minute, IgnoreCookies: true}, asked: "Cookie: a=b", keep: true, fresh: 60},
		{rule: Rule{TTL: time.Minute, IgnoreCookies: true}, asked: "Authorization: x"},
	} {
		c := compile(t, tt.rule)
		if tt.status == 0 {
			tt.status = 200
		}
		read := readFields([]byte(strings.ReplaceAll(tt.fields+"|", "|", "\r\n")), 0)
		got := c.judge(c.personal(get(t, "/", tt.asked)), tt.status, &read)
		if got.keep != tt.keep || got.keep && (got.fresh != int64(tt.fresh)*second ||
			got.stale != int64(tt.stale)*second || got.validate != tt.validate) {
			t.Errorf("%d %s, %+v %+v: %v %v %v", tt.status, tt.fields, tt.rule, tt.asked, got.keep,
				time.Duration(got.fresh), time.Duration(got.stale))
		}
	}
}

// See RFC 9111 §4.2.3.
func TestAgeIsAtLeastTheTimeSinceTheDate(t *testing.T) {
	const date = "Date: Sun, 06 Nov 1994 08:49:37 GMT|"
	c := compile(t, Rule{TTL: 70 * time.Second, Heuristic: time.Hour})
	for _, tt := range []struct {
		later  int
		fields string
		age    int
		fresh  int
	}{
		{0, date + "Cache-Control: max-age=60", 0, 60},
		{20, date + "Cache-Control: max-age=60", 20, 40},
		{20, date + "Cache-Control: s-maxage=60", 20, 40},
		{20, date + "Expires: Sun, 06 Nov 1994 08:50:37 GMT", 20, 40},
		{20, date, 20, 50},
		{20, date + "Cache-Control: max-age=60|Age: 15", 20, 40},
		{20, date + "Cache-Control: max-age=60|Age: 25", 25, 35},
		{20, "Age: 25|" + date + "Cache-Control: max-age=60", 25, 35},
		{60, date + "Cache-Control: max-age=60", 60, -1},
		{86400, date + `Cache-Control: max-age=60|ETag: "a"`, 86400, 0},
		{-20, date + "Cache-Control: max-age=60", 0, 60}, // Date is in the future
		{20, "Cache-Control: max-age=60", 0, 60},
		{20, "Date: yesterday|Cache-Control: max-age=60", 0, 60},
		{20, "Date: Mon, 01 Jan 0001 00:00:00 GMT|Cache-Control: max-age=60", 0, -1},
	} {
		arrived := (784111777 + int64(tt.later)) * second
		read := readFields([]byte(strings.ReplaceAll(tt.fields+"|", "|", "\r\n")), arrived+second-1)
		got := c.judge(false, 200, &read)
		if got.keep != (tt.fresh >= 0) || got.keep && (got.fresh != int64(tt.fresh)*second ||
			got.age != int64(tt.age)*second) {
			t.Errorf("%s, %d s later: %v, age %v, fresh %v", tt.fields, tt.later, got.keep, time.Duration(got.age),
				time.Duration(got.fresh))
		}
	}
}

func TestFieldsOfTheCacheAreNotKept(t *testing.T) {
	c := compile(t, Rule{TTL: time.Minute})
	read := readFields([]byte("Age: 3\r\nX: y\r\nFapws-Cache-Tags: a,, b\r\nFapws-Cache: hit\r\nVary: "+
		"B\r\nVary: A, b\r\n"), 0)
	got := c.judge(false, 200, &read)
	if string(read.fields) != "X: y\r\nVary: B\r\nVary: A, b\r\n" || strings.Join(read.tags, "|") != "a|b" ||
		strings.Join(got.vary, "|") != "a|b" || got.age != 3*second {
		t.Errorf("%+v %+v", read, got)
	}
}

func TestInvalidCacheRulesAreRejected(t *testing.T) {
	for _, tt := range []struct {
		r    Rule
		want string
	}{
		{Rule{Status: []int{206}}, "status 206 cannot be kept"},
		{Rule{Vary: []string{"*"}}, `vary: "*" is not a valid header field name`},
		{Rule{Vary: []string{"a b"}}, `vary: "a b" is not a valid header field name`},
		{Rule{Vary: strings.Fields("a b c d e f g h i")}, "vary: more than 8 names"},
	} {
		if _, err := Compile(tt.r); err == nil || err.Error() != tt.want {
			t.Errorf("%+v: %v, want %s", tt.r, err, tt.want)
		}
	}
}

// FuzzTargeted checks that parsing terminates for any targeted field, and that invalid fields are ignored.
func FuzzTargeted(f *testing.F) {
	for _, seed := range []string{"max-age=10", "a;b=1, c=(d e), f=?1", `x="a\\"`, "a=:YQ==:", "a=@1", "a=-1.5",
		"*a=b/c:d", "max-age=10, ,", "\t"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		c := control{}
		if ok := c.setTargeted([]byte(value)); ok && (c["max-age"] > int64(MaxTTL)/second || c["max-age"] < 0) {
			t.Errorf("%q: %+v", value, c)
		}
		again := control{}
		if ok := again.setTargeted([]byte(value + ", &")); ok {
			t.Errorf("%q with a member that is not valid counts", value)
		}
	})
}

// FuzzFields checks that any fields of a handler can be judged, and that a response with no-store, private or
// Set-Cookie in a separate field is never kept.
func FuzzFields(f *testing.F) {
	for _, seed := range []string{"max-age=10", `private="a,b"`, `a="\"",b`, `="`, ",,=", "max-age=1,,max-age=\"2",
		"*"} {
		f.Add(seed, seed)
	}
	c, err := Compile(Rule{TTL: time.Minute})
	waittest.Must(f, err)
	f.Fuzz(func(t *testing.T, control, vary string) {
		if strings.ContainsAny(control+vary, "\r\n") {
			return
		}
		judge := func(fields string) terms {
			read := readFields([]byte(fields), 0)
			return c.judge(false, 200, &read)
		}
		base := "Cache-Control: " + control + "\r\nVary: " + vary + "\r\n"
		got := judge(base)
		if got.keep && (got.fresh < 0 || got.fresh > int64(MaxTTL) || got.stale < 0 || len(got.vary) > maxVary) {
			t.Errorf("%q: %+v", base, got)
		}
		if with := judge(base + "Set-Cookie: fapws-upstream-a=b\r\n"); with.keep != got.keep {
			t.Errorf("%q: a cookie of the proxy changes the result", base)
		}
		for _, never := range []string{"Cache-Control: no-store", "Cache-Control: private", "Set-Cookie: a=b",
			"Vary: *"} {
			if judge(base+never+"\r\n").keep && !(strings.Contains(never, "no-store") &&
				strings.Contains(strings.ToLower(control), "must-understand")) {
				t.Errorf("%q with %s is kept", base, never)
			}
		}
	})
}

// A response to a client that has logged in or has a certificate is sent to other clients only if the response's fields
// permit this.
func TestClientWithALoginOrCertificateIsKnown(t *testing.T) {
	c := compile(t, Rule{IgnoreCookies: true})
	for want, peers := range map[bool][]exchange.Peer{
		false: {{}, {TLS: new(conn.TLSState)}},
		true: {{TLS: &conn.TLSState{Certificates: []*x509.Certificate{new(x509.Certificate)}}},
			{User: "ada", Login: exchange.Form}},
	} {
		for _, peer := range peers {
			if got := c.personal(&exchange.Request{Parsed: new(http1.Request), Peer: &peer}); got != want {
				t.Errorf("%+v: %v", peer, got)
			}
		}
	}
}
