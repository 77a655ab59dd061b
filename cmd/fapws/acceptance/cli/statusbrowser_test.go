package cli_test

import (
	"context"
	"fmt"
	"net/http"
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
		chromedp.ActionFunc(func(ctx context.Context) error {
			return chromedp.OuterHTML("html", &plain).Do(ctx)
		}),
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
