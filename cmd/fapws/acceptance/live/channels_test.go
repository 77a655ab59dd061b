package live_test

import (
	"bufio"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

type subscriber struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
	head string
	last string // id of the last event that has an id
}

type event struct{ id, kind, data string }

func listen(s *fapwstest.Server, target string, fields ...string) *subscriber {
	s.T.Helper()
	return fapwstest.Try(tryListen(s, target, fields...)).Must(s.T)
}

func tryListen(s *fapwstest.Server, target string, fields ...string) (*subscriber, error) {
	c, err := net.Dial("tcp", s.Address)
	if err != nil {
		return nil, err
	}
	s.T.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(2 * fapwstest.Patience))
	l := &subscriber{t: s.T, conn: c, in: bufio.NewReader(c)}
	return l, l.subscribe(target, fields...)
}

func (l *subscriber) subscribe(target string, fields ...string) error {
	// A response to an HTTP/1.0 request has no chunks.
	if _, err := fmt.Fprintf(l.conn, "GET %s HTTP/1.0\r\nHost: localhost\r\n%s\r\n", target,
		strings.Join(append(fields, ""), "\r\n")); err != nil {
		return err
	}
	for {
		line, err := l.in.ReadString('\n')
		if err != nil {
			return fmt.Errorf("%s: %w after %q", target, err, l.head)
		}
		if line == "\r\n" {
			break
		}
		l.head += line
	}
	if !strings.HasPrefix(l.head, "HTTP/1.1 200 ") || !strings.Contains(l.head, "\nContent-Type: text/event-stream\r\n") {
		return fmt.Errorf("%s: no stream: %q", target, l.head)
	}
	if first, err := l.block(); err != nil || first != "retry: 3000\n" {
		return fmt.Errorf("%s begins with %q, %v", target, first, err)
	}
	return nil
}

func (l *subscriber) block() (text string, err error) {
	for {
		line, err := l.in.ReadString('\n')
		if err != nil {
			return text, err
		}
		if line == "\n" {
			return text, nil
		}
		text += line
	}
}

func (l *subscriber) next() (e event, err error) {
	for {
		text, err := l.block()
		if err != nil {
			return e, err
		}
		for _, line := range strings.SplitAfter(text, "\n") {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			switch name {
			case "id":
				e.id, l.last = value, value
			case "event":
				e.kind = value
			case "data":
				e.data += value + "\n"
			}
		}
		if e.data != "" {
			e.data = strings.TrimSuffix(e.data, "\n")
			return e, nil
		}
	}
}

func (l *subscriber) gets(data string) event {
	l.t.Helper()
	e, err := l.next()
	fapwstest.Needf(l.t, err == nil && e.data == data, "got %q, %v; want %q", e, err, data)
	return e
}

func sends(s *fapwstest.Server, name, data string, more ...string) (pid string) {
	s.T.Helper()
	query := url.Values{"name": {name}, "data": {data}}
	for i := 0; i+1 < len(more); i += 2 {
		query.Set(more[i], more[i+1])
	}
	return s.Get("/send?"+query.Encode(), 200).Text
}

func counts(s *fapwstest.Server, name string, n int) {
	s.T.Helper()
	fapwstest.Eventually(s.T, fmt.Sprint(n, " listen to ", name), func() bool {
		return s.Get("/count/"+name, 200).Text == strconv.Itoa(n)
	})
}

func TestChannelsGetEventsThatAnyProcessPublishes(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Inline, fapwstest.Workers}, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "channels.py")
		// The log has two errors: on_join rejects the channel room/bad, and another channel has an invalid name.
		s.Complains = true
		entry, field, generator, view := listen(s, "/entry"), listen(s, "/field/news"), listen(s, "/generator"),
			listen(s, "/view")
		several := listen(s, "/listen/news,room/1,news?start=data%3A+hello", "Last-Event-ID: nothing")
		view.gets("from a view")
		several.gets("hello")
		for _, l := range []*subscriber{entry, field, generator, view, several} {
			fapwstest.Truef(t, !strings.Contains(strings.ToLower(l.head), "fapws-channel") &&
				strings.Contains(l.head, "\nCache-Control: no-store\r\n") && !strings.Contains(l.head, "Content-Length") &&
				strings.Count(l.head, "Content-Type") == 1, "the head is %s", l.head)
		}
		fapwstest.Truef(t, strings.Contains(field.head, "\nSet-Cookie: a=b\r\n") &&
			strings.Contains(several.head, "\nX-Kept: yes\r\n") && strings.Contains(several.head, "\nX-More: 1\r\n"),
			"fields are missing: %s%s", field.head, several.head)
		text, err := generator.block()
		fapwstest.Truef(t, text == ": one\n" && err == nil, "the generator's beginning is %q, %v", text, err)
		counts(s, "news", 5)

		for _, c := range []struct{ data, want, how string }{
			{"plain", "plain", ""},
			{"two\r\nlines\rthree\n", "two\nlines\nthree\n", ""},
			{"é<\x01", `{"text":"é<\u0001","n":[1,null]}`, "json"},
			{"bytes é", "bytes é", "bytes"},
			{"from a thread", "from a thread", "thread"},
			{"later", "later", "defer"},
			{"once", "once", "timer"},
			{"60000", strings.Repeat("y", 60000), "long"},
		} {
			sends(s, "news", c.data, "how", c.how, "event", "changed")
			id := ""
			for _, l := range []*subscriber{entry, field, generator, view, several} {
				e := l.gets(c.want)
				fapwstest.Truef(t, e.kind == "changed" && e.id != "" && (id == "" || e.id == id),
					"%s: type %q, id %q, of others %q", c.how, e.kind, e.id, id)
				id = e.id
			}
		}
		sends(s, "other", "elsewhere", "id", "my-id")
		fapwstest.Equalf(t, generator.gets("elsewhere").id, "my-id", "id")
		sends(s, "room/1", "to one")
		several.gets("to one")

		last := several.last
		several.conn.Close()
		sends(s, "news", "missed 1")
		sends(s, "room/1", "missed 2")
		got := listen(s, "/listen/news,room/1", "Last-Event-ID: "+last).gets2("missed 1", "missed 2")
		// With several workers, the two events may reach the worker that numbers events in either order.
		if m.Workers() {
			got = got[:0]
		}
		fapwstest.Truef(t, len(got) == 0 || got[0] == "missed 1", "out of order: %q", got)
		e, err := listen(s, "/listen/imported", "Last-Event-ID: x").next()
		fapwstest.Truef(t, err == nil && e.data == "while the script is imported", "from the import came %q, %v", e, err)
		s.GetLogs("/invalid", 500, `a handler answered "GET /invalid HTTP/1\.1" with an invalid channel: a channel name`)
		a := s.Get("/missing", 404)
		fapwstest.Truef(t, a.Text == "no such page" && a.Header.Get("Content-Type") == "text/plain" &&
			a.Header.Get("Fapws-Channel") == "", "an error page is %q with %v", a.Text, a.Header)
		listen(s, "/listen/room/bad")
		s.Says(`error in on_join joins, channel room/bad\nTraceback(.*\n)*ValueError: in on_join`)
		listen(s, "/listen/welcome").gets("there are 1")
	})
}

func (l *subscriber) gets2(want ...string) (got []string) {
	l.t.Helper()
	left := map[string]bool{}
	for _, data := range want {
		left[data] = true
	}
	for range want {
		e, err := l.next()
		fapwstest.Needf(l.t, err == nil && left[e.data], "got %.200q, %v; want %.200q", e, err, want)
		delete(left, e.data)
		got = append(got, e.data)
	}
	return got
}

func TestChannelErrorsAreReportedInOneLine(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "channels.py")
	const name = ` is not a valid channel name: use 1 to 128 of A-Z a-z 0-9 . _ ~ : / @ -, beginning with ` +
		`a letter or digit`
	const word = ` must be 1 to 128 characters, without control characters and surrounding spaces, not `
	want := []string{
		`ValueError: publish: ''` + name, `ValueError: publish: ' a'` + name,
		`TypeError: publish: the name of a channel must be a str, not 7`,
		`ValueError: publish: '` + strings.Repeat("a", 129) + `'` + name,
		`ValueError: publish: bytes must be UTF-8, but b'\xff' at 0 is not`,
		`ValueError: publish: '\ud800' cannot be sent as UTF-8`,
		`TypeError: publish: data is neither str nor bytes, and no JSON either: Object of type set is not JSON serializable`,
		`ValueError: publish: event` + word + `''`, `ValueError: publish: event` + word + `'b\nc'`,
		`TypeError: publish: event must be a str, not 5`,
		`ValueError: publish: id` + word + `''`, `ValueError: publish: id` + word + `'b\x00'`,
		`TypeError: publish: id must be a str or an int, not 1.5`,
		`ValueError: publish: the event takes 65582 bytes as sent; --channel-max-event allows 65536`,
		`TypeError: channel: takes 1 to 16 names, not 0`, `TypeError: channel: takes 1 to 16 names, not 17`,
		`ValueError: channel: 'a b'` + name,
		`TypeError: channel: the name of a channel must be a str, not None`,
		`TypeError: channel: start must be bytes or str, not 5`,
		`TypeError: channel: headers must be a dict, or (name, value) tuples, not ['x']`,
		`TypeError: channel: the name and value of a header must be str, not 'x': 1`,
		`ValueError: subscribers: '*'` + name,
		`TypeError: on_join: write @on_join("name") or @on_join("*"), not <built-in function print>`,
		`ValueError: on_join: '[a]' is not a valid pattern: use a channel name, in which * matches any characters`,
		`TypeError: on_leave: 5 cannot be called`,
	}
	got := strings.Split(s.Get("/wrong", 200).Text, "\n")
	for i := range max(len(got), len(want)) {
		fapwstest.Needf(t, i < len(got) && i < len(want) && got[i] == want[i], "line %d of\n%s\n\nshould be as of\n%s", i,
			strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	s.Get("/child", 200).Is(t,
		`RuntimeError: publish: a child process of the server cannot publish; send the event to its parent instead
RuntimeError: subscribers: not available in a child process of the server
RuntimeError publish: this process does not run under fapws: run the script with the command fapws script.py, or in a test with fapws.testing.serve
RuntimeError channel: this process does not run under fapws: run the script with the command fapws script.py, or in a test with fapws.testing.serve
RuntimeError subscribers: this process does not run under fapws: run the script with the command fapws script.py, or in a test with fapws.testing.serve
<built-in function print>
`)
}

func TestChannelRejectsMethodsOtherThanGETAndHEADWith405(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "channels.py")
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		s.Ask(fapwstest.Request(method, "/entry", "")).Want(t, 405, "405 Method Not Allowed").Field(t, "Allow", "GET, HEAD")
	}
}

func TestChannelCallbacksReportJoinsAndLeavesInOrder(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, "channels.py")
		one := listen(s, "/listen/room/1,room/2", "Last-Event-ID: é")
		two := listen(s, "/listen/room/1,news")
		counts(s, "room/1", 2)
		one.conn.Close()
		counts(s, "room/1", 1)
		two.conn.Close()
		counts(s, "room/1", 0)
		var lines []string
		fapwstest.Eventually(t, "6 calls", func() bool {
			lines = strings.Split(s.Get("/events", 200).Text, "\n")
			return len(lines) >= 6
		})
		numbers := map[string]string{}
		for i, want := range []string{"+room/1 é", "+room/2 é", "+room/1 None", "-room/1 é", "-room/2 é", "-room/1 None"} {
			f := strings.Fields(lines[i])
			fapwstest.Truef(t, len(f) == 5 && f[2] == "127.0.0.1" && f[3] == "None" && f[0]+" "+f[4] == want &&
				(numbers[f[4]] == "" || numbers[f[4]] == f[1]), "call %d is %q, want %q", i, lines[i], want)
			numbers[f[4]] = f[1]
		}
		fapwstest.Truef(t, numbers["é"] != numbers["None"], "both have the same number")
		three := listen(s, "/listen/welcome")
		three.gets("there are 1")
		for range 3 {
			four := listen(s, "/listen/welcome")
			three.gets("there are 2")
			four.conn.Close()
			three.gets("there is 1 left")
		}
	})
}

func TestChannelCallbacksReportManyClientsThatJoinAtOnce(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "channels.py")
	const n = 200
	all := fapwstest.Repeat(n, func(int) *subscriber { return listen(s, "/listen/room/1") })
	s.Get("/many?name=room/1&from=0&n=50", 200)
	for _, l := range all {
		for i := range 50 {
			l.gets(strconv.Itoa(i))
		}
		l.conn.Close()
	}
	counts(s, "room/1", 0)
	fapwstest.Eventually(t, "all calls", func() bool {
		text := s.Get("/events", 200).Text
		return strings.Count(text, "+") == n && strings.Count(text, "-room") == n
	})
}

func TestChannelFlagsLimitSubscribersHistoryAndEvents(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Threads, "channels.py", "--channel-subscribers", "2",
		"--channel-subscribers-per-address", "4", "--channel-history", "3",
		"--channel-retry", "1.5s", "--channel-heartbeat", "1s", "--channel-max-event", "300")
	s.Complains = true
	raw := func(target string) string {
		w := s.DialGet(target)
		w.SetDeadline(time.Now().Add(fapwstest.Patience))
		text := ""
		for !strings.Contains(text, "\r\n\r\n") || strings.Contains(text, " 200 ") && !strings.Contains(text, ":\n\n") {
			line, err := w.In.ReadString('\n')
			text += line
			fapwstest.Needf(t, err == nil, "%v after %q", err, text)
		}
		return text
	}
	fapwstest.Has(t, raw("/entry"), "\r\nTransfer-Encoding: chunked\r\n", "retry: 1500\n\n", ":\n\n")
	second := s.DialGet("/entry")
	counts(s, "news", 2)
	third := raw("/entry")
	fapwstest.Truef(t, strings.HasPrefix(third, "HTTP/1.1 503 ") && strings.Contains(third, "\r\nRetry-After: "),
		"a third subscriber gets %q", third)
	for _, name := range []string{"a", "b"} {
		s.Dial().Get("/listen/" + name)
		counts(s, name, 1)
	}
	fifth := raw("/listen/c")
	fapwstest.Truef(t, strings.HasPrefix(fifth, "HTTP/1.1 503 "), "a fifth subscriber of one address gets %q", fifth)
	s.Get("/send?name=news&how=long&data=240", 200)
	s.Get("/send?name=news&how=long&data=301", 500)
	s.Says(`ValueError: publish: the event takes \d+ bytes as sent; --channel-max-event allows 300`)
	second.Close()
	counts(s, "news", 1)
	for i := range 5 {
		sends(s, "news", strconv.Itoa(i))
	}
	replay := func() (text string) {
		w := s.Dial()
		defer w.Close()
		w.Send(fapwstest.Get("/entry", "Last-Event-ID: unknown"))
		for !strings.Contains(text, "data: 4\n") {
			line, err := w.In.ReadString('\n')
			text += line
			fapwstest.Needf(t, err == nil, "%v after %q", err, text)
		}
		return text
	}
	// During the first replay, the last event may arrive as a new event, in addition to the stored events. Count the
	// stored events in a second replay.
	replay()
	counts(s, "news", 1)
	fapwstest.Equalf(t, strings.Count(replay(), "data: "), 3, "events that are kept")
}

func TestChannelEventsThatAreLargePassBetweenWorkersUnchanged(t *testing.T) {
	t.Parallel()
	s := fapwstest.Serve(t, fapwstest.Workers, "channels.py", "--channel-max-event", "16M")
	all := fapwstest.Repeat(6, func(int) *subscriber { return listen(s, "/entry") })
	counts(s, "news", 6)
	var want []string
	for _, n := range []int{3_000_000, 10, 160_000, 163_800, 200_000, 2_000_000} {
		s.Get(fmt.Sprintf("/send?name=news&how=long&data=%d", n), 200)
		want = append(want, strings.Repeat("y", n))
	}
	for _, l := range all {
		l.gets2(want...)
	}
}

func TestFrameworkHandlerSubscribesByAResponseHeader(t *testing.T) {
	t.Parallel()
	fapwstest.NeedModule(t, "flask")
	const script = `
import flask
from fapws import publish

app = flask.Flask(__name__)

@app.get("/live/<name>")
def live(name):
    return "data: hello\n\n", {"Fapws-Channel": f"room/{name}"}

@app.post("/say/<name>")
def say(name):
    publish(f"room/{name}", flask.request.get_json(), event="said")
    return "", 204

@app.after_request
def note(response):
    response.headers["X-After"] = "yes"
    response.set_cookie("seen", "1")
    return response

inner = app.wsgi_app
def middleware(environ, start_response):
    def start(status, headers, exc_info=None):
        return start_response(status, headers + [("X-Middleware", "yes")], exc_info)
    for part in inner(environ, start):
        yield part
app.wsgi_app = middleware
`
	s := fapwstest.Serve(t, fapwstest.Threads, fapwstest.Write(t, t.TempDir()+"/app.py", script))
	l := listen(s, "/live/1")
	l.gets("hello")
	fapwstest.Has(t, l.head, "\nX-After: yes\r\n", "\nX-Middleware: yes\r\n", "\nSet-Cookie: seen=1; Path=/\r\n")
	fapwstest.Truef(t, !strings.Contains(l.head, "Channel") && !strings.Contains(l.head, "text/html") &&
		!strings.Contains(l.head, "Content-Length"), "the head is %s", l.head)
	s.Ask(fapwstest.Request("POST", "/say/1", `{"a":"é"}`, "Content-Type: application/json")).Want(t, 204)
	fapwstest.Equal(t, l.gets(`{"a":"é"}`).kind, "said")
}

func TestAsyncCodeSubscribesAndPublishes(t *testing.T) {
	const script = `
import asyncio
from fapws import channel, subscribers, on_join, publish

async def handler(environ, start_response):
    await asyncio.sleep(0)
    return channel("news", start="data: hello")

async def field(environ, start_response):
    start_response("200 OK", [("Fapws-Channel", "news")])
    return "data: hello\n\n"

async def generator(environ, start_response):
    start_response("200 OK", [("Fapws-Channel", "news")])
    yield "data: "
    await asyncio.sleep(0)
    yield "hello\n\n"

class View:
    async def get(self, environ, start_response):
        return channel("news", start="data: hello")

async def asgi(scope, receive, send):
    fields = [(b"fapws-channel", b"news"), (b"content-type", b"text/html")]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": b"data: ", "more_body": True})
    await send({"type": "http.response.body", "body": b"hello\n\n"})

async def say(environ, start_response):
    async def later():
        await asyncio.sleep(0.01)
        publish("news", f"{subscribers('news')} listen")
    asyncio.create_task(later())
    return "soon"

@on_join("room/*")
async def joined(name, client):
    await asyncio.sleep(0)
    publish(name, f"{client.address} is here")
    if name == "room/bad":
        raise ValueError("in a task")

PATHS = [("/handler", handler), ("/field", field), ("/generator", generator), ("/view", View), ("/asgi", asgi),
         ("/say", say), ("/room", channel("room/1")), ("/bad", channel("room/bad")),
         ("/count", lambda environ, start_response: str(subscribers(environ["PATH_INFO"].strip("/"))))]
`
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		s := fapwstest.Serve(t, m, fapwstest.Write(t, t.TempDir()+"/app.py", script))
		s.Complains = true
		var all []*subscriber
		for _, target := range []string{"/handler", "/field", "/generator", "/view", "/asgi"} {
			l := listen(s, target)
			l.gets("hello")
			fapwstest.Truef(t, !strings.Contains(strings.ToLower(l.head), "fapws-channel") &&
				!strings.Contains(l.head, "text/html"), "the head is %s", l.head)
			all = append(all, l)
		}
		counts(s, "news", len(all))
		s.Get("/say", 200)
		for _, l := range all {
			l.gets("5 listen")
		}
		listen(s, "/room").gets("127.0.0.1 is here")
		listen(s, "/bad").gets("127.0.0.1 is here")
		s.Says(`error in on_join joined, channel room/bad\nTraceback(.*\n)*ValueError: in a task`)
	})
}
