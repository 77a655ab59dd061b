package samples

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/css"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

type browser struct{ ctx context.Context }

// startBrowser starts a browser that treats each tab as active. Otherwise, the browser would slow down tabs without the
// focus.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	return &browser{fapwstest.Chromium(t, chromedp.Flag("disable-background-timer-throttling", true),
		chromedp.Flag("disable-backgrounding-occluded-windows", true), chromedp.Flag("disable-renderer-backgrounding", true))}
}

type tab struct {
	t   *testing.T
	ctx context.Context

	mu      sync.Mutex
	streams []network.RequestID
	lastIDs map[network.RequestID]string
	thrown  []string
}

// watcher is added to each page before its own scripts. watcher counts the events of every EventSource, and keeps the
// messages of the clock.
const watcher = `
window.streams = {open: 0, error: 0, ticks: ""}
window.EventSource = class extends EventSource {
  constructor(...args) {
    super(...args)
    this.addEventListener("open", () => streams.open++)
    this.addEventListener("error", () => streams.error++)
    this.addEventListener("tick", event => streams.ticks += event.data)
  }
}`

// open opens a page in a new tab. In this tab, chromedp has no copy of the document, because updating the copy takes as
// much processor time as the page itself. The methods of tab therefore find elements by JavaScript.
func (b *browser) open(t *testing.T, address string, before ...chromedp.Action) *tab {
	t.Helper()
	ctx, end := chromedp.NewContext(b.ctx)
	ctx, late := context.WithTimeout(ctx, 5*fapwstest.Patience)
	p := &tab{t: t, ctx: ctx, lastIDs: map[network.RequestID]string{}}
	t.Cleanup(func() {
		late()
		end()
		p.mu.Lock()
		defer p.mu.Unlock()
		fapwstest.Truef(t, len(p.thrown) == 0, "scripts of the page have failed: %q", p.thrown)
	})
	chromedp.ListenTarget(ctx, p.hear)
	p.run(css.Disable(), dom.Disable(), chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := page.AddScriptToEvaluateOnNewDocument(watcher).Do(ctx)
		return err
	}))
	p.run(append(before, chromedp.Navigate(address))...)
	return p
}

func (p *tab) hear(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch event := event.(type) {
	case *network.EventRequestWillBeSent:
		if event.Type == network.ResourceTypeEventSource {
			p.streams = append(p.streams, event.RequestID)
		}
	// This event contains the sent fields. It may arrive before or after EventRequestWillBeSent for the same request.
	case *network.EventRequestWillBeSentExtraInfo:
		for name, value := range event.Headers {
			if strings.EqualFold(name, "Last-Event-ID") {
				p.lastIDs[event.RequestID] = fmt.Sprint(value)
			}
		}
	case *runtime.EventExceptionThrown:
		p.thrown = append(p.thrown, event.ExceptionDetails.Error())
	}
}

// asked returns the Last-Event-ID of each request for an event stream, or "" for requests without it.
func (p *tab) asked() (ids []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, request := range p.streams {
		ids = append(ids, p.lastIDs[request])
	}
	return ids
}

func (p *tab) run(actions ...chromedp.Action) {
	p.t.Helper()
	fapwstest.Mustf(p.t, chromedp.Run(p.ctx, actions...), "in the browser")
}

// find waits until an element is visible, and returns a JavaScript expression for the element.
func (p *tab) find(selector string) (expression string) {
	p.t.Helper()
	expression = fmt.Sprintf("document.querySelector(%q)", selector)
	p.await(expression + "?.checkVisibility()")
	return expression
}

func (p *tab) click(selector string) {
	p.t.Helper()
	middle := value[[2]float64](p, `(element => {
	element.scrollIntoViewIfNeeded()
	const box = element.getBoundingClientRect()
	return [box.x + box.width / 2, box.y + box.height / 2]
})(`+p.find(selector)+")")
	p.run(chromedp.MouseClickXY(middle[0], middle[1]))
}

// fill replaces the text of a field.
func (p *tab) fill(selector, text string) {
	p.t.Helper()
	p.do(`(field => { field.value = ""; field.focus() })(` + p.find(selector) + ")")
	p.run(input.InsertText(text))
}

func (p *tab) enter(field, text string) {
	p.t.Helper()
	p.fill(field, text)
	p.run(chromedp.KeyEvent(kb.Enter))
}

// choose selects files in a form.
func (p *tab) choose(selector string, files ...string) {
	p.t.Helper()
	p.run(chromedp.ActionFunc(func(ctx context.Context) error {
		field, _, err := runtime.Evaluate(fmt.Sprintf("document.querySelector(%q)", selector)).Do(ctx)
		if err != nil {
			return err
		}
		return dom.SetFileInputFiles(files).WithObjectID(field.ObjectID).Do(ctx)
	}))
}

// do runs statements of JavaScript.
func (p *tab) do(statements string) {
	p.t.Helper()
	p.run(chromedp.Evaluate(statements+"\n;0", nil))
}

// value returns the value of a JavaScript expression, or of its promise.
func value[T any](p *tab, expression string) (result T) {
	p.t.Helper()
	p.run(chromedp.Evaluate(expression, &result, fapwstest.AwaitPromise))
	return result
}

func (p *tab) await(condition string) {
	p.t.Helper()
	if err := chromedp.Run(p.ctx, fapwstest.Shows(condition)); err != nil {
		var text string
		_ = chromedp.Run(p.ctx, chromedp.Evaluate("document.body.innerText", &text))
		p.t.Fatalf("never true: %s (%v)\n%s", condition, err, text)
	}
}

func TestSamplesWorkInABrowser(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	t.Run("pages", func(t *testing.T) { // returns when its parallel subtests have ended
		t.Run("clock", func(t *testing.T) { t.Parallel(); b.clockAndReload(t) })
		t.Run("clock after a restart", func(t *testing.T) { t.Parallel(); b.clockAndRestart(t) })
		for _, script := range chats {
			t.Run(script, func(t *testing.T) { t.Parallel(); b.chat(t, script) })
		}
		t.Run("chat of the docs", func(t *testing.T) { t.Parallel(); b.chatOfTheDocs(t) })
		t.Run("upload", func(t *testing.T) { t.Parallel(); b.upload(t) })
		t.Run("starlette", func(t *testing.T) { t.Parallel(); b.starlette(t) })
		t.Run("fastapi", func(t *testing.T) { t.Parallel(); b.fastapi(t) })
	})
}

// clockAndReload changes the code while a page is open, and checks that the page's stream continues.
func (b *browser) clockAndReload(t *testing.T) {
	script := filepath.Join(copySample(t, "clock"), "clock.py")
	s := startServer(t, []string{"--workers", "2"}, script, nil)
	p := b.open(t, s.URL)
	p.await("ticks >= 1")
	before := value[[2]int64](p, "[last, ticks]")

	format := "%H:%M:%S"
	for _, changed := range []string{"%H_%M_%S", "%H-%M-%S"} { // the new code writes the time in a different format
		fapwstest.Change(t, script, format, changed)
		format = changed
		s.Reload()
		p.await(fmt.Sprintf(`/"time": ?"\d\d%c/.test(streams.ticks)`, format[2]))
	}
	// Wait until the old workers have ended, because they also publish events.
	eventually(t, "two processes serve", func() bool { return len(s.Workers()) == 2 })
	p.await(fmt.Sprintf("last > %d && at('viewers').textContent == '1'", value[int64](p, "last")))
	after := value[[2]int64](p, "[last, ticks]")
	fapwstest.Equalf(t, after[0]-before[0], after[1]-before[1], "seconds that passed, and seconds that were seen")
	fapwstest.Equal(t, value[[2]int](p, "[streams.open, streams.error]"), [2]int{1, 0})
	fapwstest.Equal(t, len(p.asked()), 1)
}

// clockAndRestart stops the server while a page is open, and starts another server.
func (b *browser) clockAndRestart(t *testing.T) {
	flags := []string{"--channel-retry", "0.2s"}
	s := startServer(t, flags, "clock/clock.py", nil)
	p := b.open(t, s.URL)
	p.await("ticks >= 1")
	s.Stop()
	p.await("streams.error > 0")
	last := value[int64](p, "last")
	startServer(t, append(flags, "--bind", s.Address), "clock/clock.py", nil)
	// The stopping server may have answered a request of the page that reconnected early.
	p.await(fmt.Sprintf("streams.open >= 2 && last > %d && at('state').textContent == 'connected'", last))
	requests := p.asked()
	fapwstest.Truef(t, requests[0] == "" && requests[len(requests)-1] != "", "Last-Event-ID of the requests: %q", requests)
}

// chat opens the chat for two people, one of whom tries to inject a script into the page of the other.
func (b *browser) chat(t *testing.T, script string) {
	s := startServer(t, nil, script, chatArgs(t, script))
	enter := func(name string) *tab {
		p := b.open(t, s.URL)
		p.enter("#name", name)
		p.await(fmt.Sprintf("at('state').textContent.includes(%q)", name))
		return p
	}
	ann, bob := enter("Ann"), enter("Bob")
	ann.await("at('state').textContent == 'lobby: Ann, Bob'")
	const evil = `<img src=x onerror="document.title='taken over'"> & "you"?`
	ann.enter("#text", evil)
	shown := func(name, text string) string {
		return fmt.Sprintf("[...document.querySelectorAll('li')].some(li => li.querySelector('b').textContent == %q "+
			"&& li.querySelector('span').textContent == %q)", name, text)
	}
	for _, p := range []*tab{ann, bob} {
		p.await(shown("Ann", evil))
		fapwstest.Equal(t, value[string](p, "document.title + document.images.length"), "Chat0")
	}
	bob.enter("#text", "Grüß Gott ☕")
	ann.await(shown("Bob", "Grüß Gott ☕"))
	fapwstest.Equal(t, value[string](bob, "at('text').value"), "")

	// After the connection was lost, the page reconnects, and shows no line twice.
	bob.do("window.lost = socket; socket.close()")
	bob.await("socket !== lost && at('state').textContent == 'lobby: Ann, Bob'")
	ann.await("at('state').textContent == 'lobby: Ann, Bob'")
	ann.enter("#text", "Welcome back")
	bob.await(shown("Ann", "Welcome back"))
	fapwstest.Equal(t, value[int](bob, "document.querySelectorAll('li').length"), 3)

	// On a phone, the page is not wider than the screen.
	bob.run(chromedp.EmulateViewport(360, 640, chromedp.EmulateMobile))
	bob.await("document.documentElement.scrollWidth <= 360")
}

// chatOfTheDocs opens the page of the chat in docs/live.md twice, and sends a message from each.
func (b *browser) chatOfTheDocs(t *testing.T) {
	s := startServer(t, []string{"--workers", "2"}, scriptOnPage(t, "chat = WebSocket(enter, receive)"), nil)
	fapwstest.Equal(t, s.denial("/chat"), 403) // without a name
	pages := []*tab{b.open(t, s.URL), b.open(t, s.URL)}
	for _, p := range pages {
		p.await("socket.readyState == WebSocket.OPEN")
	}
	for i, speaker := range pages {
		speaker.enter("#text", "Hello ☕")
		for _, p := range pages {
			p.await(fmt.Sprintf("lines.children.length == %d && lines.lastChild.textContent.endsWith(': Hello ☕')", i+1))
		}
	}
}

func (b *browser) starlette(t *testing.T) {
	fapwstest.NeedModule(t, "starlette")
	p := b.open(t, startServer(t, nil, "starlette/app.py", nil).URL)
	p.await("socket.readyState == WebSocket.OPEN")
	p.fill("#text", "Hello ☕")
	p.await("document.getElementById('echo').textContent == 'Hello ☕'")
}

// fastapi calls the API through the page /docs of the sample. This page loads nothing from other servers.
func (b *browser) fastapi(t *testing.T) {
	fapwstest.NeedModule(t, "fastapi")
	s := startServer(t, nil, "fastapi/app.py", nil)
	p := b.open(t, s.URL+"/docs")
	p.await("document.title == 'Tasks 1.0' && document.querySelectorAll('details').length == 5")
	p.do(`
const post = [...document.querySelectorAll("details")].find(
	it => it.innerText.startsWith("POST/tasks –") || it.textContent.startsWith("POST/tasks –"))
post.open = true
post.querySelector("button").click()`)
	p.await(`post.querySelector("pre").textContent.startsWith("201") && ` +
		`post.querySelector("pre").textContent.includes('"id": 1')`)
	s.get("/tasks").want(200, `"id":1`)
}

func (b *browser) upload(t *testing.T) {
	folder := copySample(t, "upload")
	s := startServer(t, nil, filepath.Join(folder, "upload.py"), nil)
	small, large := filepath.Join(t.TempDir(), "small.txt"), filepath.Join(t.TempDir(), "large file.bin")
	for name, size := range map[string]int{small: 5, large: 3 << 20} {
		fapwstest.Write(t, name, strings.Repeat("x", size))
	}
	p := b.open(t, s.URL)
	p.await("streams.open == 1")
	p.choose("input[type=file]", small, large)
	p.do(`document.forms[0].note.value = "from the browser"; document.forms[0].requestSubmit()`)
	p.await(`at("state").textContent.includes("large file.bin: 3145728 bytes, sha256 ")`)
	p.await(`at("state").textContent.includes("note: from the browser")`)
	p.await(`/stored, 3\.0 MiB/.test(at("all").textContent)`)
	fapwstest.Equal(t, fapwstest.Try(os.Stat(filepath.Join(folder, "uploads", "large file.bin"))).Must(t).Size(), 3<<20)
	entries, _ := os.ReadDir(filepath.Join(folder, "uploads"))
	fapwstest.Equalf(t, len(entries), 2, "files")
}
