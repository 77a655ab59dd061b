package cache

import (
	"crypto/x509"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/conn"
	"fapws/runtime/exchange"
	"fapws/runtime/http1"
)

// described returns the terms as in testdata/terms.txt, with times in seconds.
func described(t terms) string {
	if !t.keep {
		return "no"
	}
	text := fmt.Sprintf("fresh %d, stale %d", t.fresh/second, t.stale/second)
	if t.validate {
		text += ", validate"
	}
	return text
}

func TestRuleAndFieldsDecideHowLongAPageIsKept(t *testing.T) {
	rules := map[string]Rule{"obey": {}, "ttl": {TTL: 60 * time.Second, Stale: 30 * time.Second},
		"guess": {Heuristic: 90 * time.Second}, "404": {TTL: time.Second, Status: []int{404}},
		"minute": {TTL: time.Minute}, "cookies": {TTL: time.Minute, IgnoreCookies: true}}
	long := [][]string{
		{"obey", "200", "Cache-Control: max-age=10" + strings.Repeat(", a", 1000), "", "fresh 10, stale 0"},
		{"obey", "200", "Cache-Control: max-age=10" + strings.Repeat(", a", 2000), "", "no"},
		{"obey", "200", "Cache-Control: max-age=10" + strings.Repeat("|Cache-Control: a", 5000), "", "no"},
		{"obey", "200", "CDN-Cache-Control: max-age=10" + strings.Repeat(", a", 2000), "", "no"},
	}
	for _, tt := range append(checktest.Cases(t, "testdata/terms.txt", 5), long...) {
		c := compile(t, rules[tt[0]])
		status := checktest.Try(strconv.Atoi(tt[1])).Must(t)
		read := readFields([]byte(strings.ReplaceAll(tt[2]+"|", "|", "\r\n")), 0)
		asked := get(t, "/", strings.ReplaceAll(tt[3], "|", "\r\n"))
		checktest.Equalf(t, described(c.judge(c.personal(asked), status, &read)), tt[4], "%.300q", tt)
	}
}

// See RFC 9111 §4.2.3.
func TestAgeIsAtLeastTheTimeSinceTheDate(t *testing.T) {
	const date = "Date: Sun, 06 Nov 1994 08:49:37 GMT|"
	c := compile(t, Rule{TTL: 70 * time.Second, Heuristic: time.Hour})
	for _, tt := range []struct {
		later      int
		fields     string
		age, fresh int
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
	read := readFields([]byte("Age: 3\r\nX: y\r\nFapws-Cache-Tags: a,, b\r\nFapws-Cache: hit\r\n"+
		"Vary: B\r\nVary: A, b\r\n"), 0)
	got := c.judge(false, 200, &read)
	checktest.Truef(t, string(read.fields) == "X: y\r\nVary: B\r\nVary: A, b\r\n" &&
		strings.Join(read.tags, "|") == "a|b" && strings.Join(got.vary, "|") == "a|b" &&
		got.age == 3*second, "%+v %+v", read, got)
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
		_, err := Compile(tt.r)
		checktest.Truef(t, err != nil && err.Error() == tt.want, "%+v: %v, want %s", tt.r, err, tt.want)
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
		ok := c.setTargeted([]byte(value))
		checktest.Truef(t, !ok || c["max-age"] <= int64(MaxTTL)/second && c["max-age"] >= 0, "%q: %+v", value, c)
		again := control{}
		ok = again.setTargeted([]byte(value + ", &"))
		checktest.Truef(t, !ok, "%q with a member that is not valid counts", value)
	})
}

// FuzzFields checks that any fields of a handler can be judged, and that a response with no-store, private or
// Set-Cookie in a separate field is never kept.
func FuzzFields(f *testing.F) {
	for _, seed := range []string{"max-age=10", `private="a,b"`, `a="\"",b`, `="`, ",,=", "max-age=1,,max-age=\"2", "*"} {
		f.Add(seed, seed)
	}
	c := checktest.Try(Compile(Rule{TTL: time.Minute})).Must(f)
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
		checktest.Truef(t, !got.keep ||
			got.fresh >= 0 && got.fresh <= int64(MaxTTL) && got.stale >= 0 && len(got.vary) <= maxVary, "%q: %+v", base, got)
		checktest.Equalf(t, judge(base+"Set-Cookie: fapws-upstream-a=b\r\n").keep, got.keep,
			"%q: a cookie of the proxy changes the result", base)
		for _, never := range []string{"Cache-Control: no-store", "Cache-Control: private", "Set-Cookie: a=b", "Vary: *"} {
			checktest.Truef(t, !judge(base+never+"\r\n").keep || strings.Contains(never, "no-store") &&
				strings.Contains(strings.ToLower(control), "must-understand"), "%q with %s is kept", base, never)
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
			checktest.Equalf(t, c.personal(&exchange.Request{Parsed: new(http1.Request), Peer: &peer}), want, "%+v", peer)
		}
	}
}
