package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
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

// answerTo sends a request from this machine to the status page.
func answerTo(s *fapwstest.Server, method, path string, fields ...string) *fapwstest.Answer {
	s.T.Helper()
	if !slices.ContainsFunc(fields, func(field string) bool { return strings.HasPrefix(field, "Host: ") }) {
		fields = append(fields, "Host: "+s.Address)
	}
	return s.Ask(method + " " + path + " HTTP/1.1\r\n" + strings.Join(fields, "\r\n") + "\r\n\r\n")
}

func TestStatusPageShowsWorkersAndRequestsByRoute(t *testing.T) {
	t.Parallel()
	release := filepath.Join(t.TempDir(), "release")
	s := fapwstest.Command{Script: "metrics.py", Flags: []string{"--status", "/_fapws", "--debug", "3"},
		Env: []string{"RELEASE=" + release}}.Serve(t, fapwstest.Workers)
	waits := s.DialSend(fapwstest.Get("/waits?token=zecret1", "Cookie: zecret2=1", "X-Api-Key: zecret3",
		"Authorization: Bearer zecret4"))
	var page string
	fapwstest.Eventually(t, "the active request is on the page", func() bool {
		page = answerTo(s, "GET", "/_fapws/").Text
		return regexp.MustCompile(`GET /waits<.*metrics\.py:(21|22) in waits`).MatchString(page)
	})
	live := answerTo(s, "GET", "/_fapws/live").Text
	stacks := answerTo(s, "POST", "/_fapws/stacks").Want(t, 200, "GET /waits?… HTTP/1.1", `metrics.py", line 2`).Text
	figures := answerTo(s, "GET", "/_fapws/status.json").Text
	metrics := answerTo(s, "GET", "/_fapws/metrics").Text
	profile := answerTo(s, "POST", "/_fapws/profile").Text
	for what, text := range map[string]string{"page": page, "live": live, "stacks": stacks, "JSON": figures,
		"metrics": metrics, "profile": profile} {
		fapwstest.Truef(t, !strings.Contains(text, "zecret") && !strings.Contains(text, release),
			"the %s shows a query, a cookie or the environment:\n%s", what, text)
	}
	n := len(page)
	fapwstest.Truef(t, n <= 40<<10, "the page has %d bytes", n)
	fapwstest.Equalf(t, regexp.MustCompile(`(?i)(src|href|url\()\s*=?\s*["']?(https?:)?//`).FindString(page), "",
		"the page has a resource from elsewhere")
	fapwstest.Write(t, release, "")
	waits.Answer().Is(t, "released")
	var view struct {
		InFlight float64 `json:"in_flight"`
		Routes   []struct {
			Route    string
			Requests int64
		}
	}
	fapwstest.Eventually(t, "the request is counted", func() bool {
		fapwstest.Must(t, json.Unmarshal([]byte(answerTo(s, "GET", "/_fapws/status.json").Text), &view))
		for _, r := range view.Routes {
			fapwstest.Truef(t, r.Route != "/_fapws", "the status page is counted: %+v", view)
			if r.Route == "/waits" && r.Requests == 1 {
				return view.InFlight == 0
			}
		}
		return false
	})
}

func TestStatusPageShowsErrorsAndTimeoutsOfHandlers(t *testing.T) {
	fapwstest.InEach(t, fapwstest.Modes, func(t *testing.T, m fapwstest.Mode) {
		const script = "import time\ndef boom(e, s): raise ValueError('zecret')\ndef hang(e, s): time.sleep(5)\n" +
			"PATHS = [('/hang', hang), ('/boom', boom)]\n"
		path := fapwstest.Write(t, t.TempDir()+"/app.py", script)
		s := fapwstest.Command{Script: path, Complains: true, Flags: []string{"--status", "/_fapws", "--timeout", "300ms"}}.
			Serve(t, m)
		id := regexp.MustCompile(`Request (\w+),`).FindStringSubmatch(s.Get("/boom?token=zecret", 500, "Accept: text/html").Text)
		fapwstest.Truef(t, id != nil, "the page for the client names no request")
		s.Get("/hang", 504)
		fapwstest.Eventually(t, "the log of the page has both", func() bool {
			page := answerTo(s, "GET", "/_fapws/").Text
			fapwstest.Truef(t, !strings.Contains(page, "zecret"), "the page shows a query or the text of an exception: %s", page)
			return regexp.MustCompile(`error request `+id[1]+`: error in handler boom, GET /boom\?… HTTP/1\.1 from 127\.0\.0\.1 .*: ValueError\n`).
				MatchString(page) && regexp.MustCompile(`error request \w+: GET /hang .* timed out after .* in handler hang`).MatchString(page)
		})
	})
}

func TestStatusPageRejectsRemoteAndCrossSiteRequests(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Workers, "metrics.py", "--status", "/_fapws")
	for _, tt := range []struct {
		method, path string
		fields       []string
		status       int
	}{
		{"GET", "/_fapws", nil, 308},
		{"GET", "/_fapws/", nil, 200},
		{"HEAD", "/_fapws/", nil, 200},
		{"GET", "/_fapws/", []string{"Host: LOCALHOST:80"}, 200},
		{"GET", "/_fapws/", []string{"Host: [::1]"}, 200},
		{"GET", "/_fapws/nothing", nil, 404},
		{"GET", "/_fapwsfoo", nil, 404},
		{"PUT", "/_fapws/", nil, 405},
		{"GET", "/_fapws/reload", nil, 404},
		{"GET", "/_fapws/", []string{"Host: rebound.example"}, 403},
		{"GET", "/_fapws/metrics", []string{"Host: 127.0.0.1.example"}, 403},
		{"GET", "/_fapws/", []string{"X-Forwarded-For: 127.0.0.1"}, 403},
		{"GET", "/_fapws/metrics", []string{"Forwarded: for=192.0.2.1"}, 403},
		{"POST", "/_fapws/reload", []string{"Origin: http://evil.example"}, 403},
		{"POST", "/_fapws/reload", []string{"Origin: null"}, 403},
		{"POST", "/_fapws/stacks", []string{"Sec-Fetch-Site: cross-site"}, 403},
		{"POST", "/_fapws/stacks", []string{"Origin: " + s.URL, "Sec-Fetch-Site: same-origin"}, 200},
	} {
		a := answerTo(s, tt.method, tt.path, tt.fields...)
		fapwstest.Truef(t, a.StatusCode == tt.status && (a.StatusCode != 403 || !strings.Contains(a.Text, "metrics.py")),
			"%+v: %d %s", tt, a.StatusCode, a.Text)
	}
	answerTo(s, "GET", "//_fapws?x=1").Field(t, "Location", "/_fapws/")
	s.Says(`warning client 127\.0\.0\.1:\d+: request \w+: status page refused: ask for this page at localhost or 127\.0\.0\.1`)
	old := s.Workers()
	answerTo(s, "POST", "/_fapws/reload", "Origin: "+s.URL).Is(t, "reloaded\n")
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
	via := []string{"Host: device.example", "X-Forwarded-For: 192.0.2.1"}
	answerTo(s, "GET", "/_fapws/", via...).Want(t, 401)
	via = append(via, "Authorization: Basic YW5uYTpzZWNyZXQ=")
	answerTo(s, "GET", "/_fapws/", via...).Want(t, 200, "without Python")
	answerTo(s, "POST", "/_fapws/reload", via...).Is(t, "reloaded\n")
	s.Says("info reloaded: new clients waited")
}

type watched struct {
	mu               sync.Mutex
	elsewhere, wrong []string
	streams          int
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
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
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
		chromedp.Evaluate(`[document.documentElement, ...document.querySelectorAll(".wide")]
			.every(e => e.scrollWidth <= e.clientWidth)`, &fits),
		colors("light", &light), colors("dark", &dark),
		chromedp.Click(`form[action=stacks] button`),
		fapwstest.Shows(`/active requests/.test(document.querySelector("#out").innerText)`),
		chromedp.Text("#out", &stacks),
		chromedp.Click(`#out > button`), fapwstest.Shows(`document.querySelector("#out").hidden`),
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
	fapwstest.Truef(t, fits, "a phone has to scroll the page or a table to the side")
	fapwstest.Truef(t, light != dark, "light is %s, and so is dark", light)
	fapwstest.Truef(t, strings.Contains(graph, "works (metrics.py)"), "the flame graph has no handler: %s", graph)
	fapwstest.Truef(t, strings.Contains(stacks, "no active requests") && strings.HasSuffix(strings.TrimSpace(answer), "reloaded"), "%q %q",
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
	var profile, refused *fapwstest.Answer
	answers := make(chan *fapwstest.Answer, 2)
	fapwstest.Eventually(t, "one of two at the same time is refused", func() bool {
		for range 2 {
			go func() { answers <- answerTo(s, "POST", "/_fapws/profile", "Accept: text/html") }()
		}
		if profile, refused = <-answers, <-answers; profile.StatusCode > refused.StatusCode {
			profile, refused = refused, profile
		}
		return profile.StatusCode == http.StatusOK && refused.StatusCode == http.StatusServiceUnavailable &&
			// A 503 may have another reason: on a busy machine, the request may wait too long for the GIL.
			strings.Contains(refused.Text, "A profile is being recorded already.")
	})
	fapwstest.Has(t, profile.Text, "<!doctype html>")
	fapwstest.Truef(t, len(profile.Text) <= 40<<10, "%d bytes", len(profile.Text))
}
