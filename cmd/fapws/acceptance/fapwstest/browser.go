package fapwstest

import (
	"context"
	"os"
	"os/exec"
	"testing"

	"github.com/chromedp/chromedp"
)

// Browser starts Chromium, and returns the context of its first tab, which ends after Patience.
func Browser(t *testing.T, options ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(Chromium(t, options...), Patience)
	t.Cleanup(cancel)
	return ctx
}

// Chromium starts Chromium with an empty profile, and returns the context of its first tab. It ends with t. On a machine with much
// other work it crashes at times while it starts, which says nothing about a server: it is started again.
func Chromium(t *testing.T, options ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Fatal("no chromium: sudo apt-get install chromium")
	}
	var err error
	for range 3 {
		ctx := chromium(t, options)
		if err = chromedp.Run(ctx); err == nil {
			return ctx
		}
	}
	t.Fatalf("chromium does not start: %v", err)
	return nil
}

// chromium returns a context with which the first use of chromedp starts Chromium.
func chromium(t *testing.T, options []chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	profile, err := os.MkdirTemp("", "fapws-chromium") // not t.TempDir, which fails when a process of the browser still writes there
	if err != nil {
		t.Fatal(err)
	}
	ctx, kill := chromedp.NewExecAllocator(context.Background(), append([]chromedp.ExecAllocatorOption{
		chromedp.UserDataDir(profile),
		chromedp.Env("HOME="+profile, "XDG_CONFIG_HOME="+profile, "XDG_CACHE_HOME="+profile),
		chromedp.Headless, chromedp.DisableGPU, chromedp.NoSandbox, chromedp.NoFirstRun,
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-dev-shm-usage", true), // containers have too little of it
		chromedp.WSURLReadTimeout(Patience),
	}, options...)...)
	ctx, end := chromedp.NewContext(ctx)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx)
		end()
		kill()
		_ = os.RemoveAll(profile)
	})
	return ctx
}

// Shows waits until an expression of JavaScript is true in the page.
func Shows(expression string) chromedp.Action {
	return chromedp.Poll(expression, nil, chromedp.WithPollingTimeout(Patience))
}
