package sites_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

const consoleScript = `from fapws import WebSocket, channel, publish, timer

@timer(0.2)
def beat():
    publish("beat", "beat")

def live(environ, start_response):
    return channel("beat")

def index(environ, start_response):
    return """<!doctype html><title>Console</title><p id="who">%s over %s</p>
<p id="live"></p><p id="said"></p><p id="saved"></p>
<form method="post" action="/_fapws/logout"><button id="out">Log out</button></form>
<script>
new EventSource("/live").onmessage = e => { live.textContent = e.data }
const ws = new WebSocket("wss://" + location.host + "/ws")
ws.onopen = () => ws.send("hello")
ws.onmessage = e => { said.textContent = e.data }
fetch("/save", {method: "POST"}).then(r => r.text()).then(t => { saved.textContent = t })
</script>""" % (environ["REMOTE_USER"], environ["SERVER_PROTOCOL"])

def save(environ, start_response):
    return "saved by " + environ["REMOTE_USER"]

PATHS = [
    ("/ws", WebSocket(on_message=lambda ws, message: ws.send(message + " " + ws.environ["REMOTE_USER"]))),
    ("/live", live), ("/save", save), ("/", index),
]
`

func TestLoginWorksInABrowserUntilLogout(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := dir + "/users"
	users(t, file, "correct horse", "add", "ann")
	command := fapwstest.Command{Script: fapwstest.Write(t, dir+"/console.py", consoleScript),
		Flags: []string{"--bind", "https://127.0.0.1:0", "--tls", "auto", "--state-dir", dir + "/state", "--login", file}}
	url := "https://" + command.Start(t).Says(`(?m)^  https://(\S+)/$`)[1]
	ctx := fapwstest.Browser(t, chromedp.IgnoreCertErrors)

	var form, alert, who, said, saved, live string
	var cookies []*network.Cookie
	fill := func(password string) chromedp.Tasks {
		return chromedp.Tasks{
			chromedp.SetValue("[name=name]", "ann", chromedp.ByQuery),
			chromedp.SendKeys("[name=password]", password+"\r", chromedp.ByQuery),
		}
	}
	shows := func(id string, text *string) chromedp.Tasks {
		return chromedp.Tasks{chromedp.WaitReady(id+":not(:empty)", chromedp.ByQuery),
			chromedp.Text(id, text, chromedp.ByQuery)}
	}
	fapwstest.Must(t, chromedp.Run(ctx,
		chromedp.Navigate(url+"/page?a=b"),
		chromedp.Location(&form),
		fill("wrong horse"),
		shows("[role=alert]", &alert),
		fill("correct horse"),
		shows("#who", &who), shows("#said", &said), shows("#saved", &saved), shows("#live", &live),
		chromedp.ActionFunc(func(ctx context.Context) (err error) {
			cookies, err = network.GetCookies().Do(ctx)
			return err
		}),
	))
	fapwstest.Truef(t, form == url+"/_fapws/login?next=%2Fpage%3Fa%3Db" && alert == "Wrong name or password.", "%s: %s",
		form, alert)
	fapwstest.Truef(t, who == "ann over HTTP/2.0" && said == "hello ann" && saved == "saved by ann" && live == "beat",
		"%q %q %q %q", who, said, saved, live)
	for _, c := range cookies {
		fapwstest.Truef(t, strings.HasPrefix(c.Name, "__Host-fapws-") && c.Secure && c.HTTPOnly &&
			(strings.HasSuffix(c.Name, "-form") || c.SameSite == network.CookieSameSiteLax), "%+v", c)
	}
	fapwstest.Equalf(t, len(cookies), 2, "cookies")
	var page, out string
	fapwstest.Must(t, chromedp.Run(ctx,
		chromedp.Location(&page),
		chromedp.Click("#out", chromedp.ByQuery),
		chromedp.WaitVisible("[name=password]", chromedp.ByQuery),
		chromedp.Text("main", &out, chromedp.ByQuery),
		chromedp.Navigate(url+"/page"),
		chromedp.Location(&form),
	))
	fapwstest.Truef(t, page == url+"/page?a=b" && strings.Contains(out, "You are logged out.") &&
		form == url+"/_fapws/login?next=%2Fpage", "%s %q %s", page, out, form)
}

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
		fapwstest.Must(t, err)
		return text
	}
	fapwstest.Equalf(t, upload(serve("https://third.example")), "TypeError: Failed to fetch",
		"the script of another site reads")
	entries, err := os.ReadDir(to)
	fapwstest.Truef(t, len(entries) == 0 && err == nil, "another site has stored %v, %v", entries, err)
	got := upload(serve(page.URL))
	fapwstest.Equalf(t, got, `201 {"id":"`+got[min(11, len(got)):min(37, len(got))]+`" 201 204 4 400`, "the script reads")
	for name, want := range map[string]string{"plain": "plain", "tus": "tus!"} {
		fapwstest.Equalf(t, fapwstest.Read(t, to+"/"+name), want, "%s", name)
	}
}
