package cli_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

type asked struct {
	method, path string
	host         string
	fields       map[string]string
}

func answerTo(t *testing.T, s *fapwstest.Server, q asked) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(q.method, s.URL+q.path, http.NoBody)
	fapwstest.Must(t, err)
	r.Host = q.host
	for name, value := range q.fields {
		r.Header.Set(name, value)
	}
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	a, err := client.Do(r)
	fapwstest.Must(t, err)
	return a, readAll(a)
}

func TestStatusPageShowsWorkersAndRequestsByRoute(t *testing.T) {
	t.Parallel()
	release := filepath.Join(t.TempDir(), "release")
	s := fapwstest.Command{Script: "metrics.py", Flags: []string{"--status", "/_fapws", "--debug", "3"},
		Env: []string{"RELEASE=" + release}}.Serve(t, fapwstest.Workers)
	answer := make(chan string, 1)
	go func() {
		body := ""
		r, err := http.NewRequest("GET", s.URL+"/waits?token=zecret1", http.NoBody)
		if err == nil {
			r.Header.Set("Cookie", "zecret2=1")
			r.Header.Set("X-Api-Key", "zecret3")
			r.Header.Set("Authorization", "Bearer zecret4")
			if a, err := http.DefaultClient.Do(r); err == nil {
				body = readAll(a)
			}
		}
		answer <- body
	}()
	var page string
	fapwstest.Eventually(t, "the active request is on the page", func() bool {
		_, page = answerTo(t, s, asked{method: "GET", path: "/_fapws/"})
		return regexp.MustCompile(`GET /waits<.*metrics\.py:(21|22) in waits`).MatchString(page)
	})
	_, live := answerTo(t, s, asked{method: "GET", path: "/_fapws/live"})
	stacks, text := answerTo(t, s, asked{method: "POST", path: "/_fapws/stacks"})
	fapwstest.Truef(t, stacks.StatusCode == 200 && strings.Contains(text, "GET /waits?… HTTP/1.1") &&
		strings.Contains(text, `metrics.py", line 2`), "%d %s", stacks.StatusCode, text)
	_, figures := answerTo(t, s, asked{method: "GET", path: "/_fapws/status.json"})
	_, metrics := answerTo(t, s, asked{method: "GET", path: "/_fapws/metrics"})
	_, profile := answerTo(t, s, asked{method: "POST", path: "/_fapws/profile"})
	for what, text := range map[string]string{"page": page, "live": live, "stacks": text, "JSON": figures,
		"metrics": metrics, "profile": profile} {
		fapwstest.Truef(t, !strings.Contains(text, "zecret") && !strings.Contains(text, release),
			"the %s shows a query, a cookie or the environment:\n%s", what, text)
	}
	n := len(page)
	fapwstest.Truef(t, n <= 40<<10, "the page has %d bytes", n)
	fapwstest.Equalf(t, regexp.MustCompile(`(?i)(src|href|url\()\s*=?\s*["']?(https?:)?//`).FindString(page), "",
		"the page has a resource from elsewhere")
	fapwstest.Write(t, release, "")
	fapwstest.Equalf(t, <-answer, "released", "the handler answers")
	var view struct {
		Routes []struct {
			Route    string
			Requests int64
		}
	}
	fapwstest.Eventually(t, "the request is counted", func() bool {
		_, text := answerTo(t, s, asked{method: "GET", path: "/_fapws/status.json"})
		fapwstest.Must(t, json.Unmarshal([]byte(text), &view))
		for _, r := range view.Routes {
			if r.Route == "/waits" && r.Requests == 1 {
				return true
			}
		}
		return false
	})
}

func TestStatusPageRejectsRemoteAndCrossSiteRequests(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Workers, "metrics.py", "--status", "/_fapws")
	for _, tt := range []struct {
		ask    asked
		status int
	}{
		{asked{method: "GET", path: "/_fapws"}, 308},
		{asked{method: "GET", path: "/_fapws/"}, 200},
		{asked{method: "HEAD", path: "/_fapws/"}, 200},
		{asked{method: "GET", path: "/_fapws/", host: "LOCALHOST:80"}, 200},
		{asked{method: "GET", path: "/_fapws/", host: "[::1]"}, 200},
		{asked{method: "GET", path: "/_fapws/nothing"}, 404},
		{asked{method: "GET", path: "/_fapwsfoo"}, 404},
		{asked{method: "PUT", path: "/_fapws/"}, 405},
		{asked{method: "GET", path: "/_fapws/reload"}, 404},
		{asked{method: "GET", path: "/_fapws/", host: "rebound.example"}, 403},
		{asked{method: "GET", path: "/_fapws/metrics", host: "127.0.0.1.example"}, 403},
		{asked{method: "GET", path: "/_fapws/", fields: map[string]string{"X-Forwarded-For": "127.0.0.1"}}, 403},
		{asked{method: "GET", path: "/_fapws/metrics", fields: map[string]string{"Forwarded": "for=192.0.2.1"}}, 403},
		{asked{method: "POST", path: "/_fapws/reload", fields: map[string]string{"Origin": "http://evil.example"}},
			403},
		{asked{method: "POST", path: "/_fapws/reload", fields: map[string]string{"Origin": "null"}}, 403},
		{asked{method: "POST", path: "/_fapws/stacks", fields: map[string]string{"Sec-Fetch-Site": "cross-site"}}, 403},
		{asked{method: "POST", path: "/_fapws/stacks",
			fields: map[string]string{"Origin": s.URL, "Sec-Fetch-Site": "same-origin"}}, 200},
	} {
		a, text := answerTo(t, s, tt.ask)
		fapwstest.Truef(t, a.StatusCode == tt.status && (a.StatusCode != 403 || !strings.Contains(text, "metrics.py")),
			"%+v: %d %s", tt.ask, a.StatusCode, text)
	}
	a, _ := answerTo(t, s, asked{method: "GET", path: "//_fapws?x=1"})
	fapwstest.Equalf(t, a.Header.Get("Location"), "/_fapws/", "sent to")
	s.Says(`warning client 127\.0\.0\.1:\d+: status page refused: ask for this page at localhost or 127\.0\.0\.1`)
	old := s.Workers()
	a, text := answerTo(t, s, asked{method: "POST", path: "/_fapws/reload", fields: map[string]string{"Origin": s.URL}})
	fapwstest.Truef(t, a.StatusCode == 200 && text == "reloaded\n", "%d %s", a.StatusCode, text)
	s.Says("info reloading: status page")
	s.HasWorkers(2, old...)
}

func TestStatusPageOpensWithThePasswordOfItsHost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Write(t, dir+"/htpasswd", "anna:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n") // hash of the password "secret"
	file := fapwstest.Write(t, dir+"/fapws.toml",
		"status = \"/_fapws\"\nauth = { realm = \"device\", users = \"htpasswd\" }\n[[host]]\nroot = \".\"\n")
	s := fapwstest.Command{Flags: []string{"-c", file}}.Serve(t, fapwstest.Threads)
	via := map[string]string{"X-Forwarded-For": "192.0.2.1"}
	a, _ := answerTo(t, s, asked{method: "GET", path: "/_fapws/", host: "device.example", fields: via})
	fapwstest.Equalf(t, a.StatusCode, 401, "without a password")
	via["Authorization"] = "Basic YW5uYTpzZWNyZXQ="
	a, text := answerTo(t, s, asked{method: "GET", path: "/_fapws/", host: "device.example", fields: via})
	fapwstest.Truef(t, a.StatusCode == 200 && strings.Contains(text, "without Python") &&
		!strings.Contains(text, "Reload"), "with a password: %d %s", a.StatusCode, text)
	a, text = answerTo(t, s, asked{method: "POST", path: "/_fapws/reload", host: "device.example", fields: via})
	fapwstest.Truef(t, a.StatusCode == 500 && strings.Contains(text, "reloading requires a supervisor"), "a reload: %d %s",
		a.StatusCode, text)
}
