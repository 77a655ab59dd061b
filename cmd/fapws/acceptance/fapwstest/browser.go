package fapwstest

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"testing"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Browser starts Chromium and returns the context of its first tab. The context ends after Patience.
func Browser(t *testing.T, options ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(Chromium(t, options...), Patience)
	t.Cleanup(cancel)
	return ctx
}

// Chromium starts the browser with an empty profile, until the end of t. If the browser crashes during its start, as
// may happen on a busy machine, the browser is started again.
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

func chromium(t *testing.T, options []chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	// t.TempDir would fail if a process of the browser still writes to the directory.
	profile := Try(os.MkdirTemp("", "fapws-chromium")).Must(t)
	ctx, kill := chromedp.NewExecAllocator(context.Background(), append([]chromedp.ExecAllocatorOption{
		chromedp.UserDataDir(profile),
		chromedp.Env("HOME="+profile, "XDG_CONFIG_HOME="+profile, "XDG_CACHE_HOME="+profile),
		chromedp.Headless, chromedp.DisableGPU, chromedp.NoSandbox, chromedp.NoFirstRun,
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-dev-shm-usage", true),
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

// Shows waits until the JavaScript expression is true in the page of the tab.
func Shows(expression string) chromedp.Action {
	wait := chromedp.Evaluate("(async () => { while (!await ("+expression+
		")) await new Promise(done => setTimeout(done, 30)) })()", nil, AwaitPromise)
	// The tab may leave the page while the expression is running.
	navigated := regexp.MustCompile("Cannot find .*context|Inspected target navigated|Execution context was destroyed")
	return chromedp.ActionFunc(func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, Patience)
		defer cancel()
		err := wait.Do(ctx)
		for err != nil && navigated.MatchString(err.Error()) {
			err = wait.Do(ctx)
		}
		return err
	})
}

// AwaitPromise is an option of chromedp.Evaluate. The result is that of the promise which the expression returns.
func AwaitPromise(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }
