package sites_test

import (
	"context"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
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
		Flags: []string{"--bind", "https://127.0.0.1:0", "--tls", "auto", "--state-dir", dir + "/state", "--login",
			file}}
	s := command.Start(t)
	url := "https://" + s.Says(`(?m)^  https://(\S+)/$`)[1]
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
	if err := chromedp.Run(ctx,
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
	); err != nil {
		t.Fatal(err)
	}
	if form != url+"/_fapws/login?next=%2Fpage%3Fa%3Db" || alert != "Wrong name or password." {
		t.Errorf("%s: %s", form, alert)
	}
	if who != "ann over HTTP/2.0" || said != "hello ann" || saved != "saved by ann" || live != "beat" {
		t.Errorf("%q %q %q %q", who, said, saved, live)
	}
	for _, c := range cookies {
		if !strings.HasPrefix(c.Name, "__Host-fapws-") || !c.Secure || !c.HTTPOnly ||
			!strings.HasSuffix(c.Name, "-form") && c.SameSite != network.CookieSameSiteLax {
			t.Errorf("%+v", c)
		}
	}
	if len(cookies) != 2 {
		t.Errorf("%d cookies", len(cookies))
	}
	var page, out string
	if err := chromedp.Run(ctx,
		chromedp.Location(&page),
		chromedp.Click("#out", chromedp.ByQuery),
		chromedp.WaitVisible("[name=password]", chromedp.ByQuery),
		chromedp.Text("main", &out, chromedp.ByQuery),
		chromedp.Navigate(url+"/page"),
		chromedp.Location(&form),
	); err != nil {
		t.Fatal(err)
	}
	if page != url+"/page?a=b" || !strings.Contains(out, "You are logged out.") || form != url+
		"/_fapws/login?next=%2Fpage" {
		t.Errorf("%s %q %s", page, out, form)
	}
}
