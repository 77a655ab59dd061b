package cache

import (
	"strings"
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	const day = "Sun, 06 Nov 1994 08:49:37 GMT"
	obey, ttl := Rule{}, Rule{TTL: 60 * time.Second, Stale: 30 * time.Second}
	for _, tt := range []struct {
		rule   Rule
		status int
		fields string
		asked  Asked
		keep   bool
		fresh  int // seconds
		stale  int
	}{
		{rule: obey},
		{rule: obey, fields: "Cache-Control: max-age=10", keep: true, fresh: 10},
		{rule: obey, fields: "cache-control: PUBLIC , Max-Age = 10", keep: true, fresh: 10},
		{rule: obey, fields: `Cache-Control: max-age="10"`, keep: true, fresh: 10},
		{rule: obey, fields: "Cache-Control: max-age=10, s-maxage=20", keep: true, fresh: 20},
		{rule: obey, fields: "Cache-Control: max-age=10|Cache-Control: max-age=5", keep: true, fresh: 5},
		{rule: obey, fields: "Cache-Control: max-age=10, stale-while-revalidate=7", keep: true, fresh: 10, stale: 7},
		{rule: obey, fields: "Cache-Control: max-age=0, stale-while-revalidate=7", keep: true, stale: 7},
		{rule: obey, fields: "Cache-Control: max-age=10, stale-while-revalidate=7, must-revalidate", keep: true, fresh: 10},
		{rule: obey, fields: "Cache-Control: max-age=0"},
		{rule: obey, fields: "Cache-Control: max-age=-1"},
		{rule: obey, fields: "Cache-Control: max-age=ten"},
		{rule: obey, fields: "Cache-Control: max-age"},
		{rule: obey, fields: "Cache-Control: max-age=10, private"},
		{rule: obey, fields: `Cache-Control: max-age=10, private="x, y"`},
		{rule: obey, fields: `Cache-Control: ext="a, no-store", max-age=10`, keep: true, fresh: 10},
		{rule: obey, fields: "Cache-Control: max-age=10|Cache-Control: no-store"},
		{rule: obey, fields: "Cache-Control: max-age=10, no-cache"},
		{rule: obey, fields: "Cache-Control: max-age=99999999999999999999", keep: true, fresh: 366 * 86400},
		{rule: obey, fields: "Cache-Control: max-age=10|Age: 4", keep: true, fresh: 6},
		{rule: obey, fields: "Cache-Control: max-age=10|Age: 10"},
		{rule: obey, fields: "Cache-Control: max-age=10|Set-Cookie: a=b"},
		{rule: obey, fields: "Cache-Control: max-age=10|SET-COOKIE: a=b"},
		{rule: obey, fields: "Cache-Control: max-age=10|Vary: *"},
		{rule: obey, fields: "Cache-Control: max-age=10|Vary: a, b, c, d, e, f, g, h, i"},
		{rule: obey, fields: "Cache-Control: max-age=10|Content-Type: text/event-stream; charset=utf-8"},
		{rule: obey, fields: "Cache-Control: max-age=10|Content-Range: bytes 0-1/2"},
		{rule: obey, fields: "Date: " + day + "|Expires: Sun, 06 Nov 1994 08:50:37 GMT", keep: true, fresh: 60},
		{rule: obey, fields: "Date: " + day + "|Expires: " + day},
		{rule: obey, fields: "Expires: 0"},
		{rule: obey, fields: "Expires: Sun, 06 Nov 2094 08:50:37 GMT|Cache-Control: max-age=3", keep: true, fresh: 3},
		{rule: obey, status: 404, fields: "Cache-Control: max-age=10", keep: true, fresh: 10},
		{rule: obey, status: 302, fields: "Cache-Control: max-age=10", keep: true, fresh: 10},
		{rule: obey, status: 206, fields: "Cache-Control: max-age=10"},
		{rule: obey, status: 304, fields: "Cache-Control: max-age=10"},
		{rule: obey, status: 500, fields: "Cache-Control: max-age=10"},
		{rule: obey, status: 299, fields: "Cache-Control: max-age=10"},
		{rule: obey, fields: "Cache-Control: max-age=10", asked: Asked{Cookie: true}},
		{rule: obey, fields: "Cache-Control: max-age=10", asked: Asked{Authorization: true}},
		{rule: obey, fields: "Cache-Control: max-age=10, public", asked: Asked{Authorization: true, Cookie: true}, keep: true, fresh: 10},
		{rule: obey, fields: "Cache-Control: s-maxage=10", asked: Asked{Authorization: true}, keep: true, fresh: 10},

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
		{rule: ttl, asked: Asked{Cookie: true}},
		{rule: ttl, asked: Asked{Authorization: true}},
		{rule: Rule{TTL: time.Minute, IgnoreCookies: true}, asked: Asked{Cookie: true}, keep: true, fresh: 60},
		{rule: Rule{TTL: time.Minute, IgnoreCookies: true}, asked: Asked{Authorization: true}},
	} {
		c := compile(t, tt.rule)
		if tt.status == 0 {
			tt.status = 200
		}
		a := Answer{Status: tt.status, Fields: []byte(strings.ReplaceAll(tt.fields+"|", "|", "\r\n"))}
		got := c.judge(tt.asked, &a, 0)
		if got.keep != tt.keep || got.keep && (got.fresh != int64(tt.fresh)*second || got.stale != int64(tt.stale)*second) {
			t.Errorf("%d %s, %+v %+v: %v %v %v", tt.status, tt.fields, tt.rule, tt.asked, got.keep, time.Duration(got.fresh), time.Duration(got.stale))
		}
	}
}

func TestKeptFields(t *testing.T) {
	c := compile(t, Rule{TTL: time.Minute})
	got := c.judge(Asked{}, &Answer{Status: 200, Fields: []byte("Age: 3\r\nX: y\r\nFapws-Cache-Tags: a,, b\r\nFapws-Cache: hit\r\nVary: B\r\nVary: A, b\r\n")}, 0)
	if string(got.fields) != "X: y\r\nVary: B\r\nVary: A, b\r\n" || strings.Join(got.tags, "|") != "a|b" || strings.Join(got.vary, "|") != "a|b" || got.age != 3*second {
		t.Errorf("%+v", got)
	}
}

func TestCompile(t *testing.T) {
	for _, tt := range []struct {
		r    Rule
		want string
	}{
		{Rule{TTL: -1}, "ttl must be 0 to 366 days, not -1ns"},
		{Rule{Stale: 400 * 24 * time.Hour}, "stale must be 0 to 366 days, not 9600h0m0s"},
		{Rule{Status: []int{206}}, "status 206 cannot be kept"},
		{Rule{Vary: []string{"*"}}, `vary: "*" is no name of a header field`},
		{Rule{Vary: []string{"a b"}}, `vary: "a b" is no name of a header field`},
		{Rule{Vary: strings.Fields("a b c d e f g h i")}, "vary: more than 8 names"},
	} {
		if _, err := Compile(tt.r); err == nil || err.Error() != tt.want {
			t.Errorf("%+v: %v, want %s", tt.r, err, tt.want)
		}
	}
}

// FuzzFields: whatever a handler sends is judged, and an answer that says
// no-store, private or Set-Cookie in a field of its own is never kept.
func FuzzFields(f *testing.F) {
	for _, seed := range []string{"max-age=10", `private="a,b"`, `a="\"",b`, `="`, ",,=", "max-age=1,,max-age=\"2", "*"} {
		f.Add(seed, seed)
	}
	c, err := Compile(Rule{TTL: time.Minute})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, control, vary string) {
		if strings.ContainsAny(control+vary, "\r\n") {
			return
		}
		base := "Cache-Control: " + control + "\r\nVary: " + vary + "\r\n"
		got := c.judge(Asked{}, &Answer{Status: 200, Fields: []byte(base)}, 0)
		if got.keep && (got.fresh < 0 || got.fresh > int64(MaxTTL) || got.stale < 0 || len(got.vary) > maxVary) {
			t.Errorf("%q: %+v", base, got)
		}
		for _, never := range []string{"Cache-Control: no-store", "Cache-Control: private", "Set-Cookie: a=b", "Vary: *"} {
			if c.judge(Asked{}, &Answer{Status: 200, Fields: []byte(base + never + "\r\n")}, 0).keep {
				t.Errorf("%q with %s is kept", base, never)
			}
		}
	})
}
