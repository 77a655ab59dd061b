package http2_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// A browser speaks HTTP/2 with the server: pages, uploads, events of a channel, and WebSockets (RFC 8441).
func TestBrowser(t *testing.T) {
	s := serveTLS(t, fapwstest.Mode{}, "page.py")
	profile, err := os.MkdirTemp("", "fapws-chromium") // not t.TempDir, which fails when a process of the browser still writes there
	if err != nil {
		t.Fatal(err)
	}
	ctx, kill := chromedp.NewExecAllocator(context.Background(),
		chromedp.UserDataDir(profile),
		chromedp.Env("HOME="+profile, "XDG_CONFIG_HOME="+profile, "XDG_CACHE_HOME="+profile),
		chromedp.Headless, chromedp.DisableGPU, chromedp.NoSandbox, chromedp.NoFirstRun,
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-dev-shm-usage", true), // containers have too little of it
		chromedp.IgnoreCertErrors,                    // the authority is the test's own
		chromedp.WSURLReadTimeout(fapwstest.Patience),
	)
	ctx, end := chromedp.NewContext(ctx)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx)
		end()
		kill()
		_ = os.RemoveAll(profile)
	})
	ctx, cancel := context.WithTimeout(ctx, fapwstest.Patience)
	defer cancel()
	var heard, said string
	if err := chromedp.Run(ctx,
		chromedp.Navigate(s.URL+"/"),
		chromedp.Poll(`document.getElementById("heard").textContent != "nothing"`, nil),
		chromedp.Text("#heard", &heard, chromedp.ByQuery),
		chromedp.Poll(`document.getElementById("said").textContent != "nothing"`, nil),
		chromedp.Text("#said", &said, chromedp.ByQuery),
	); err != nil {
		t.Fatal(err)
	}
	if heard != "heard 300000 h2" {
		t.Error(heard)
	}
	if want := "300000 bytes by HTTP/2.0 GET; /talk 3000 ; own socket by HTTP/2.0; /own 3000"; strings.TrimSpace(said) != want {
		t.Errorf("%q", said)
	}
}
