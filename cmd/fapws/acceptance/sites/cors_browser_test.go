package sites_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// uploadByScript uploads to the URL by PUT, and then by the requests of a tus client.
const uploadByScript = `(async to => {
	const say = r => r.text().then(text => r.status + " " + text.split(",")[0])
	const out = [await fetch(to + "/plain", {method: "PUT", body: "plain", headers: {"X-Own": "1"}}).then(say)]
	const tus = {"Tus-Resumable": "1.0.0"}
	const made = await fetch(to, {method: "POST", headers: {...tus, "Upload-Length": "4",
		"Upload-Metadata": "filename dHVz"}})
	const at = new URL(made.headers.get("Location"), to)
	const sent = await fetch(at, {method: "PATCH", body: "tus!", headers: {...tus, "Upload-Offset": "0",
		"Content-Type": "application/offset+octet-stream"}})
	out.push(made.status, sent.status, sent.headers.get("Upload-Offset"))
	out.push(await fetch(to, {method: "POST", headers: {...tus, "Upload-Length": "-1"}}).then(r => r.status))
	return out.join(" ")
})(%q).catch(e => String(e))`

func TestScriptsOfAllowedOriginsUploadAndReadTheResponses(t *testing.T) {
	t.Parallel()
	pages, to := t.TempDir(), t.TempDir()
	fapwstest.Write(t, pages+"/index.html", "<!doctype html><title>Upload</title>")
	page := fapwstest.Serve(t, fapwstest.Threads, pages)
	serve := func(origin string) *fapwstest.Server {
		config := fapwstest.Write(t, t.TempDir()+"/fapws.toml", "[[host]]\n[[host.route]]\nprefix = '/in'\n"+
			"upload = { to = '"+to+"', origins = ['https://other.example', '"+origin+"'] }\n")
		return fapwstest.Serve(t, fapwstest.Threads, "", "-c", config)
	}
	ctx := fapwstest.Browser(t)
	upload := func(s *fapwstest.Server) (text string) {
		t.Helper()
		err := chromedp.Run(ctx, chromedp.Navigate(page.URL+"/"),
			chromedp.Evaluate(fmt.Sprintf(uploadByScript, s.URL+"/in"), &text,
				func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if got := upload(serve("https://third.example")); got != "TypeError: Failed to fetch" {
		t.Errorf("the script of another site reads %q", got)
	}
	if entries, err := os.ReadDir(to); len(entries) > 0 || err != nil {
		t.Errorf("another site has stored %v, %v", entries, err)
	}
	if got := upload(serve(page.URL)); got != `201 {"id":"`+got[min(11, len(got)):min(37, len(got))]+`" 201 204 4 400` {
		t.Errorf("the script reads %q", got)
	}
	for name, want := range map[string]string{"plain": "plain", "tus": "tus!"} {
		if got, err := os.ReadFile(to + "/" + name); string(got) != want || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
