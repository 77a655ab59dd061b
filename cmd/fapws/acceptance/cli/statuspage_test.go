package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

type asked struct {
	method, path string
	host         string
	fields       map[string]string
}

func answerTo(t *testing.T, s *fapwstest.Server, q asked) (*http.Response, string) {
	t.Helper()
	r := fapwstest.Try(http.NewRequest(q.method, s.URL+q.path, http.NoBody)).Must(t)
	r.Host = q.host
	for name, value := range q.fields {
		r.Header.Set(name, value)
	}
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	a := fapwstest.Try(client.Do(r)).Must(t)
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

type watched struct {
	mu        sync.Mutex
	elsewhere []string
	wrong     []string
	streams   int
}

func watch(ctx context.Context, origin string) *watched {
	w := &watched{}
	chromedp.ListenTarget(ctx, func(event any) {
		w.mu.Lock()
		defer w.mu.Unlock()
		switch event := event.(type) {
		case *network.EventRequestWillBeSent:
			if url := event.Request.URL; !strings.HasPrefix(url, origin) && !strings.HasPrefix(url, "data:") {
				w.elsewhere = append(w.elsewhere, url)
			}
			if event.Type == network.ResourceTypeEventSource {
				w.streams++
			}
		case *log.EventEntryAdded:
			w.wrong = append(w.wrong, event.Entry.Text+" "+event.Entry.URL)
		case *runtime.EventConsoleAPICalled:
			w.wrong = append(w.wrong, fmt.Sprint(event.Type, event.Args))
		case *runtime.EventExceptionThrown:
			w.wrong = append(w.wrong, event.ExceptionDetails.Error())
		}
	})
	return w
}

func colors(scheme string, into *string) chromedp.Action {
	return chromedp.Tasks{
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme",
			Value: scheme}}),
		chromedp.Evaluate(`(s=>s.backgroundColor+s.color)(getComputedStyle(document.body))`, into),
	}
}

func keepBusy(url string, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		default:
		}
		r, err := http.Get(url)
		if err != nil {
			return
		}
		r.Body.Close()
	}
}

func TestStatusPageInABrowserIsLive(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Workers, "metrics.py", "--status", "/_fapws")
	ctx := fapwstest.Browser(t)
	w := watch(ctx, s.URL)
	requests := `document.querySelector("main").innerText.match(/\/order.*\t(\d+)$/m)?.[1]`
	var light, dark, graph, stacks, answer, plain string
	var fits, refreshes bool
	order := func(context.Context) error { get(t, s.URL+"/order"); return nil }
	fresh, profiled := s.Workers(), make(chan struct{})
	err := chromedp.Run(ctx, log.Enable(), network.Enable(),
		emulation.SetDeviceMetricsOverride(360, 740, 2, true),
		chromedp.Navigate(s.URL+"/_fapws/"),
		chromedp.ActionFunc(order),
		fapwstest.Shows(requests+` == "1"`),
		chromedp.ActionFunc(order),
		fapwstest.Shows(requests+` == "2"`),
		chromedp.Evaluate(`document.documentElement.scrollWidth <= innerWidth`, &fits),
		colors("light", &light), colors("dark", &dark),
		chromedp.Click(`form[action=stacks] button`),
		fapwstest.Shows(`/active requests/.test(document.querySelector("#out").innerText)`),
		chromedp.Text("#out", &stacks),
		chromedp.ActionFunc(func(context.Context) error { go keepBusy(s.URL+"/works", profiled); return nil }),
		chromedp.Click(`form[action=profile] button`), fapwstest.Shows(`document.querySelector("#out .flame b")`),
		chromedp.OuterHTML("#out", &graph),
		chromedp.ActionFunc(func(context.Context) error { close(profiled); return nil }),
		chromedp.Click(`form[action=reload] button`),
		fapwstest.Shows(`/reload/.test(document.querySelector("#out").innerText)`), chromedp.Text("#out", &answer),
		chromedp.ActionFunc(func(context.Context) error { s.HasWorkers(2, fresh...); return order(ctx) }),
		fapwstest.Shows(requests+` == "3"`),
		chromedp.ActionFunc(func(ctx context.Context) error {
			_, err := page.AddScriptToEvaluateOnNewDocument("window.EventSource = class {}").Do(ctx)
			return err
		}),
		chromedp.Navigate(s.URL+"/_fapws/"),
		chromedp.ActionFunc(order),
		fapwstest.Shows(requests+` == "4"`),
		emulation.SetScriptExecutionDisabled(true),
		chromedp.Navigate(s.URL+"/_fapws/"),
		chromedp.ActionFunc(func(ctx context.Context) error { return chromedp.OuterHTML("html", &plain).Do(ctx) }),
	)
	fapwstest.Must(t, err)
	refreshes = strings.Contains(plain, `http-equiv="refresh"`)
	fapwstest.Truef(t, fits, "a phone has to scroll the page to the side")
	fapwstest.Truef(t, light != dark, "light is %s, and so is dark", light)
	fapwstest.Truef(t, strings.Contains(graph, "works (metrics.py)"), "the flame graph has no handler: %s", graph)
	fapwstest.Truef(t, strings.Contains(stacks, "no active requests") && strings.TrimSpace(answer) == "reloaded", "%q %q",
		stacks, answer)
	fapwstest.Truef(t, strings.Contains(plain, "/order") && refreshes, "without JavaScript the page is %s", plain)
	w.mu.Lock()
	defer w.mu.Unlock()
	fapwstest.Truef(t, len(w.elsewhere)+len(w.wrong) == 0 && w.streams != 0,
		"requests to others %q, complaints %q, %d streams", w.elsewhere, w.wrong, w.streams)
}

func TestStatusPageRecordsOneProfileAtATime(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Inline, "metrics.py", "--status", "/_fapws")
	type answer struct {
		status int
		text   string
	}
	var profile, refused answer
	answers := make(chan answer, 2)
	fapwstest.Eventually(t, "one of two at the same time is refused", func() bool {
		for range 2 {
			go func() {
				a, text := answerTo(t, s, asked{method: "POST", path: "/_fapws/profile",
					fields: map[string]string{"Accept": "text/html"}})
				answers <- answer{a.StatusCode, text}
			}()
		}
		if profile, refused = <-answers, <-answers; profile.status > refused.status {
			profile, refused = refused, profile
		}
		return profile.status == http.StatusOK && refused.status == http.StatusServiceUnavailable &&
			// A 503 may have another reason: on a busy machine, the request may wait too long for the GIL.
			strings.Contains(refused.text, "A profile is being recorded already.")
	})
	fapwstest.Truef(t, strings.Contains(profile.text, "<!doctype html>") && len(profile.text) <= 40<<10,
		"%d, %d bytes: %.300s", profile.status, len(profile.text), profile.text)
}
