package ssi

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
)

// This test checks includes of dynamic responses, which TestPagesAreProcessedLikeApache cannot compare.
func TestIncludesOfDynamicResponses(t *testing.T) {
	s := newSite(t, Options{}, map[string]string{
		"f/plain.txt":   "plain & text",
		"dynamic.shtml": `<!--#set var="x" value="a b" --><!--#include virtual="/dynamic/echo?v=$x" -->`,
		"status.shtml": `<!--#include virtual="/dynamic/status/404" -->` +
			`<!--#include virtual="/dynamic/status/302" -->`,
		"twice.shtml":              `<!--#include virtual="nothing.txt" onerror="/dynamic/status/404" -->`,
		"hidden.shtml":             `<!--#include file="f/.hidden" -->`,
		"f/.hidden":                "hidden",
		"dir with/sp é.shtml":      `<!--#include virtual="other one.shtml" -->`,
		"dir with/other one.shtml": `spaces`,
	})
	for target, want := range map[string]string{
		"/p/dynamic.shtml":                "GET v=a%20b mark",
		"/p/status.shtml":                 errorMessage + errorMessage,
		"/p/twice.shtml":                  errorMessage,
		"/p/hidden.shtml":                 errorMessage,
		"/p/dir%20with/sp%20%C3%A9.shtml": "spaces",
	} {
		s.shows(target, want)
	}
}

func TestPagesAreLimitedInDepthTimeAndOutput(t *testing.T) {
	t.Run("depth", func(t *testing.T) {
		s := newSite(t, Options{Depth: 2}, map[string]string{"self.shtml": `.<!--#include virtual="self.shtml" -->`})
		s.shows("/p/self.shtml", "..."+errorMessage)
	})
	t.Run("time", func(t *testing.T) {
		s := newSite(t, Options{Timeout: 200 * time.Millisecond}, map[string]string{
			"a.shtml": `a<!--#include virtual="/dynamic/slow" -->b<!--#echo var="x" -->c`})
		s.shows("/p/a.shtml", "a"+errorMessage+"b"+errorMessage)
		s.log.Says(t, "timed out")
	})
	t.Run("output", func(t *testing.T) {
		s := newSite(t, Options{MaxOutput: 3 << 20}, map[string]string{
			"a.shtml": strings.Repeat(`<!--#include virtual="/dynamic/big" -->`, 10)})
		r, err := http.Get(s.url + "/p/a.shtml")
		checktest.Must(t, err)
		defer r.Body.Close()
		n := 0
		buf := make([]byte, 64<<10)
		for err == nil {
			var k int
			k, err = r.Body.Read(buf)
			n += k
		}
		checktest.Truef(t, err.Error() == "unexpected EOF" && n <= 4<<20 && n >= 2<<20, "%d bytes, %v", n, err)
		s.log.Says(t, "the output is too large")
	})
	t.Run("included output", func(t *testing.T) {
		s := newSite(t, Options{MaxOutput: 10}, map[string]string{
			"a.shtml": `12345<!--#include virtual="b.shtml" -->x`, "b.shtml": "123456"})
		got := s.get("/p/a.shtml")
		checktest.Truef(t, strings.HasPrefix(got, "12345"+errorMessage), "%s", got)
	})
	t.Run("variables", func(t *testing.T) {
		s := newSite(t, Options{}, map[string]string{
			"a.shtml": `<!--#set var="a" value="0123456789" -->` + strings.Repeat(`<!--#set var="a" value="$a$a" -->`,
				40) + "end"})
		got := s.get("/p/a.shtml")
		checktest.Truef(t, strings.HasPrefix(got, errorMessage) && strings.HasSuffix(got, "end"), "%v %s", len(got), got)
		n := strings.Count(s.log.String(), "\n")
		checktest.Truef(t, n <= maxLines, "%d lines in the log", n)
	})
	t.Run("commands", func(t *testing.T) {
		checktest.InItsTime(t, func(timeout time.Duration) (wrong string) {
			s := newSite(t, Options{AllowExec: true, Timeout: timeout}, map[string]string{
				"a.shtml": `<!--#exec cmd="echo $DOCUMENT_NAME; echo bad >&2; sleep 1000" -->`})
			if got := s.get("/p/a.shtml"); !strings.HasPrefix(got, "a.shtml\n"+errorMessage) {
				return got
			}
			if log := s.log.String(); !strings.Contains(log, "exec: bad") {
				return log
			}
			return ""
		})
	})
}

// In every form of a reference to the client's input, the shell must treat the input only as data.
func TestClientInputIsNeverPartOfACommand(t *testing.T) {
	const groups = `<!--#if expr="$QUERY_STRING = /(a)(.*)/" --><!--#endif -->`
	for name, page := range map[string]string{
		"plain":    `<!--#exec cmd="echo $QUERY_STRING" -->`,
		"braces":   `<!--#exec cmd="echo ${QUERY_STRING}" -->`,
		"quoted":   `<!--#exec cmd='echo "$QUERY_STRING"' -->`,
		"escaped":  `<!--#exec cmd='echo "\$QUERY_STRING"' -->`,
		"set":      `<!--#set var="x" value="$QUERY_STRING" --><!--#exec cmd="echo $x" -->`,
		"unescape": `<!--#set var="x" value="$QUERY_STRING" --><!--#exec cmd="printf '%s\n' $x" -->`,
		"groups":   groups + `<!--#exec cmd="echo $0" -->`,
		"group":    groups + `<!--#exec cmd="echo $1$2" -->`,
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, Options{AllowExec: true}, map[string]string{"a.shtml": page})
			for _, query := range []string{"a;echo+b", "a$(echo+b)", "a`echo+b`", "a|cat", "a&&id", `a"`, "a'", "a${HOME}"} {
				s.shows("/p/a.shtml?"+query, query+"\n")
			}
		})
	}
}

func TestExecRunsCommandsOnlyIfAllowed(t *testing.T) {
	page := map[string]string{"a.shtml": `<!--#exec cmd="echo $DOCUMENT_NAME $nothing; pwd" -->`}
	s := newSite(t, Options{}, page)
	s.shows("/p/a.shtml", errorMessage)
	s.log.Says(t, "a.shtml:1: exec is not allowed")
	page["b.shtml"] = `<!--#exec cmd="yes | head -2; sleep 100 & echo $!; kill -9 $$" -->`
	page["c.shtml"] = `<!--#exec cmd="head -c 9000000 /dev/zero | tr '\\0' x" -->`
	s = newSite(t, Options{AllowExec: true}, page)
	s.shows("/p/a.shtml", "a.shtml\n"+s.root+"\n")
	got := s.get("/p/b.shtml")
	left, ok := strings.CutPrefix(got, "y\ny\n")
	pid, err := strconv.Atoi(strings.TrimSpace(left))
	checktest.Needf(t, ok && err == nil, "%q", got)
	checktest.Eventually(t, "the program in the background has ended", func() bool { return !running(pid) })
	got = s.get("/p/c.shtml")
	checktest.Truef(t, len(got) >= 8_000_000 && len(got) <= 8<<20+100 && strings.HasSuffix(got, errorMessage),
		"%v", len(got))
}

func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestPageResponseHasFieldsOfItsVariables(t *testing.T) {
	s := newSite(t, Options{Index: []string{"index.html", "index.shtml"}}, map[string]string{
		"a.shtml":         "page",
		"big.shtml":       strings.Repeat("0123456789abcdef", 1<<14),
		"dir/index.shtml": "index",

		"vary/a.shtml": `<!--#echo var="HTTP_HOST" --><!--#echo var="QUERY_STRING" -->`,
		"vary/field.shtml": `<!--#echo var="HTTP_X_MARK" --><!--#set var="a" value="$HTTP_USER_AGENT" -->` +
			`<!--#echo var="http_x_mark" -->`,
		"vary/if.shtml":    `<!--#if expr="%{HTTP_ACCEPT} == $HTTP_X_OTHER" --><!--#endif -->`,
		"vary/inner.shtml": `<!--#include virtual="if.shtml" -->`,
		"vary/all.shtml":   `<!--#printenv -->`,
		"vary/addr.shtml":  `<!--#echo var="REMOTE_ADDR" -->`,
		"vary/app.shtml":   `<!--#include virtual="/dynamic/vary" -->`,
		"vary/late.shtml":  strings.Repeat("x", bufferSize) + `<!--#echo var="HTTP_X_MARK" -->`,
		"vary/text.shtml":  `<!--#echo var="HTTP_X_MARK" -->` + strings.Repeat("x", bufferSize),
		"f.txt":            "text",
	})
	r, body := s.do("GET", "/p/a.shtml")
	checktest.Truef(t, body == "page" && r.ContentLength == 4 &&
		r.Header.Get("Content-Type") == "text/html; charset=utf-8" && r.Header.Get("ETag") == "" &&
		r.Header.Get("Last-Modified") == "" && r.Header.Get("Accept-Ranges") == "", "%q %v", body, r.Header)
	r, body = s.do("HEAD", "/p/a.shtml")
	checktest.Truef(t, body == "" && r.ContentLength == 4 && r.StatusCode == 200, "%q %v", body, r.Header)
	r, body = s.do("POST", "/p/a.shtml")
	checktest.Truef(t, body == "page" && r.StatusCode == 200, "%q %v", body, r.Header)
	r, _ = s.do("PUT", "/p/a.shtml")
	checktest.Truef(t, r.StatusCode == 405 && r.Header.Get("Allow") == "GET, HEAD, POST", "%s %v", r.Status, r.Header)
	r, body = s.do("GET", "/p/big.shtml")
	checktest.Truef(t, r.ContentLength == -1 && len(body) == 16<<14, "%d %v", len(body), r.Header)
	s.shows("/p/dir/", "index")
	for target, vary := range map[string]string{"a": "", "field": "X-Mark, User-Agent", "if": "Accept, X-Other",
		"inner": "Accept, X-Other", "all": "*", "addr": "*",
		"app": "Accept-Language", "late": "*", "text": "X-Mark"} {
		r, body := s.do("GET", "/p/vary/"+target+".shtml")
		checktest.Equalf(t, r.Header.Get("Vary"), vary, "%s: Vary; %s", target, body)
	}
	for _, target := range []string{"/p/f.txt", "/p/none.shtml", "/p/a.shtml/more", "/p/..%2fa.shtml", "/p/",
		"/p/dir/none.shtml"} {
		r, _ := s.do("GET", target)
		checktest.Equalf(t, r.StatusCode, 404, "%s: %s", target, r.Status)
	}
}
