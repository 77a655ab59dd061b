package python_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func habits(t *testing.T, m fapwstest.Mode) (s *fapwstest.Server, folder string) {
	t.Helper()
	folder = t.TempDir()
	return fapwstest.Command{Script: "habits.py", Args: []string{folder}}.Serve(t, m), folder
}

func TestHabitsTimersAndDatesHaveTheNamesOfFapws3(t *testing.T) {
	t.Parallel()
	s, _ := habits(t, fapwstest.Threads)
	ticked := func() int { return s.Get("/ticked", 200).Number(t) }
	fapwstest.Eventually(t, "it ticks", func() bool { return ticked() > 2 })
	s.Get("/stop", 200).Is(t, "False")
	s.Get("/restart", 200).Is(t, "True")
	before := ticked()
	fapwstest.Eventually(t, "it ticks again", func() bool { return ticked() > before })
	s.Get("/date", 200).Is(t, "Sun, 06 Nov 1994 08:49:37 GMT")
}

func unzipped(t *testing.T, a *fapwstest.Answer) string {
	t.Helper()
	a.Field(t, "Content-Encoding", "gzip")
	fapwstest.Truef(t, slices.Contains(a.Header.Values("Vary"), "Accept-Encoding"), "Vary: %q", a.Header.Values("Vary"))
	r := fapwstest.Try(gzip.NewReader(bytes.NewReader([]byte(a.Text)))).Must(t)
	return string(fapwstest.Try(io.ReadAll(r)).Must(t))
}

// A response that would not become smaller is sent without compression.
func TestHabitsGzipCompressesForClientsThatAcceptIt(t *testing.T) {
	t.Parallel()
	s, _ := habits(t, fapwstest.Threads)
	text := strings.Repeat("something to compress, ", 100)
	const accepts = "Accept-Encoding: br, gzip;q=0.5"
	for path, want := range map[string]string{
		"/text": text, "/plain": text, "/json": `{"text": "` + text + `"}`, "/written": text + text, "/pieces": "0 " +
			text + "1 " + text + "2 " + text,
	} {
		fapwstest.Equalf(t, unzipped(t, s.Get(path, 200, accepts)), want, "%s", path)
		for _, other := range []string{"Accept-Encoding: gzip;q=0, *", "Accept-Encoding: br", "X-None: 1"} {
			a := s.Get(path, 200, other).Is(t, want)
			fapwstest.Truef(t, a.Header.Get("Content-Encoding") == "" &&
				slices.Contains(a.Header.Values("Vary"), "Accept-Encoding"), "%s with %s: %v", path, other, a.Header)
		}
	}
	a := s.Get("/text", 200, accepts).Field(t, "ETag", `W/"1"`, "Set-Cookie", "a=b; Path=/")
	fapwstest.Truef(t, a.Status == "200 Fine" && a.ContentLength == int64(len(a.Text)), "%s, %d bytes", a.Status,
		a.ContentLength)
	s.Get("/json", 200, accepts).Field(t, "Content-Type", "application/json")
	late := s.Get("/generated", 200, accepts).Field(t, "X-Late", "1")
	got := unzipped(t, late)
	fapwstest.Truef(t, got == text+text && late.Status == "200 Fine", "%s %.100q", late.Status, got)
	unzipped(t, s.Get("/missing", 404, accepts))
	script := fapwstest.Source(t, "habits.py")
	for path, want := range map[string]string{"/small": "small", "/image": text, "/whole": script} {
		fapwstest.Equalf(t, s.Get(path, 200, accepts).Is(t, want).Header.Get("Content-Encoding"), "", "%s is compressed",
			path)
	}
	s.Get("/closed", 200).Is(t, "4")
}

func TestHabitsLogWritesApachesFormat(t *testing.T) {
	t.Parallel()
	s, folder := habits(t, fapwstest.Threads)
	s.Get("/logged/x?y", 201, "User-Agent: a \"b\\", "Referer: http://r/").Want(t, 201, "12345")
	s.Stdout.Await(t, regexp.MustCompile(
		`(?m)^127\.0\.0\.1 - - \[\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET /logged/x\?y HTTP/1\.1" `+
			`201 5 "http://r/" "a \\"b\\\\"$`))
	s.Get("/filed", 200).Is(t, "ab")
	fapwstest.FileSays(t, folder+"/log", `"GET /filed HTTP/1.1" 200 - "-" "-"`)
}

// The server does not accept a session ID that a client has invented.
func TestHabitsSessionsAreKnownToAllWorkers(t *testing.T) {
	t.Parallel()
	s, folder := habits(t, fapwstest.Workers)
	cookie := func(a *fapwstest.Answer) string {
		t.Helper()
		want := regexp.MustCompile(`^(sessionid=[0-9a-f]{64}); Max-Age=864000; Path=/; HttpOnly; SameSite=Lax$`)
		found := want.FindStringSubmatch(a.Header.Get("Set-Cookie"))
		fapwstest.Needf(t, found != nil, "Set-Cookie: %q", a.Header.Get("Set-Cookie"))
		return "Cookie: other=1; " + found[1]
	}
	fapwstest.Equalf(t, s.Get("/look", 200).Is(t, "{}").Header.Get("Set-Cookie"), "",
		"a session without data has a cookie")
	mine := cookie(s.Get("/count", 200).Is(t, "1"))
	for i := 2; i < 12; i++ {
		s.Get("/count", 200, mine).Is(t, strconv.Itoa(i))
	}
	s.Get("/count", 200).Is(t, "1")
	cookie(s.Get("/stream", 200).Is(t, "1."))
	made := "Cookie: sessionid=" + strings.Repeat("0", 64)
	fapwstest.Truef(t, cookie(s.Get("/count", 200, made).Is(t, "1")) != made,
		"an identifier of the client's was taken over")
	next := cookie(s.Get("/log_in", 200, mine))
	s.Get("/look", 200, mine).Is(t, "{}")
	s.Get("/look", 200, next).Is(t, "{'visits': 11, 'user': 'me'}")
	if a := s.Get("/log_out", 200, next); !strings.HasPrefix(a.Header.Get("Set-Cookie"), "sessionid=; ") {
		t.Errorf("Set-Cookie: %q", a.Header.Get("Set-Cookie"))
	}
	s.Get("/look", 200, next).Is(t, "{}")
	for _, target := range []string{"/late", "/late?changes"} {
		ended := cookie(s.Get("/log_in", 200))
		s.Get(target, 200, ended).Is(t, "late")
		s.Get("/look", 200, ended).Is(t, "{}")
	}
	s.Get("/record", 200).Is(t, "[{'n': 1}, None, 64, True, ['expiration_date', 'sessionid', 'strdata']]")
	fapwstest.Equal(t, fapwstest.Try(os.Stat(folder+"/sessions.db")).Must(t).Mode().Perm(), 0o600)
}

func TestDeferredCallsAndTimersRunDuringRequests(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		folder := t.TempDir()
		s := fapwstest.Command{Script: "later.py", Args: []string{folder}, Complains: true}.Serve(t, m)
		ticks := func() int { return strings.Count(fapwstest.TextOf(t, folder+"/ticks"), "\n") }
		fapwstest.Eventually(t, "a timer ticks while the server is idle", func() bool { return ticks() >= 3 })
		s.Get("/later", 200)
		fapwstest.Truef(t, !fapwstest.Exists(folder+"/later"), "the answer came after the postponed work")
		s.Get("/forks", 200).Is(t, "0")
		s.Get("/release", 200)
		fapwstest.FileSays(t, folder+"/later", "from a request")
		for before := ticks(); ticks() < before+3; {
			s.Get("/release", 200)
		}
		s.Get("/breaks", 200)
		s.Says(`(?m)^[-\d]+ [:\d]+\.\d{3} [-+]\d{4} error in deferred call int\nTraceback(.*\n)+ValueError: `)

		s.Get("/slowly", 200)
		s.Stop()
		fapwstest.FileSays(t, folder+"/at the end", "yes")
	})
}

func TestWSGIMiddlewareWrapsEntriesOfPATHS(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "middleware.py")
	s.Get("/chain", 200).Is(t, "HELLO THROUGH THROUGH.INNER THROUGH.OUTER").Field(t, "X-Through", "outer inner")
	s.Get("/checked", 200).Is(t, "hello through through.one").Field(t, "X-Through", "one")
}

func TestProfilePageIsShownToAllowedClients(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "middleware.py")
	const html = "Accept: text/html"
	s.Get("/profile", 200).Want(t, 200, "nothing yet")
	s.Get("/profile", 200, html).Want(t, 200, "<form", "Look")
	s.Get("/closed", 403)
	s.Ask(fapwstest.Request("POST", "/profile", "seconds=soon")).Want(t, 400, "seconds must be")
	s.Ask(fapwstest.Request("POST", "/profile", "seconds=600")).Want(t, 400)
	found, late := "", time.Now().Add(fapwstest.Patience)
	// On a busy machine, the profile may end before the next request runs.
	for seconds := 2; found == ""; seconds = min(2*seconds, 60) {
		s.Ask(fapwstest.Request("POST", "/profile", fmt.Sprint("seconds=", seconds))).Want(t, 202, "profiling")
		second := s.Ask(fapwstest.Request("POST", "/profile", "seconds=0.1", html))
		page := s.Get("/profile", 200, html)
		s.Get("/spin", 200)
		text := ""
		fapwstest.Eventually(t, "the look is over", func() bool {
			text = s.Get("/profile", 200).Text
			return !strings.Contains(text, "still looking")
		})
		if second.StatusCode == 409 && strings.Contains(page.Text, "Looking") && strings.Contains(text, "spin_here") {
			page.Field(t, "Refresh", "1")
			found = strings.Replace(text, fmt.Sprintf("looks in %d s", seconds), "looks in all", 1)
		} else if time.Now().After(late) {
			t.Fatalf("in %d s: %s, %s\n%s", seconds, second.Status, page.Text, text)
		}
	}
	fapwstest.Has(t, found, "looks in all", "Lines that ran", "middleware.py:", "spin_here in middleware.py")
	s.Get("/profile", 200, html).Want(t, 200, "<table>", "spin_here")
	s.Ask(fapwstest.Request("DELETE", "/profile", "")).Want(t, 405)
	s.Ask(fapwstest.Request("POST", "/profile", "seconds=0.1", html)).Want(t, 303).Field(t, "Location", "/profile")
}
