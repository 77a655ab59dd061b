package samples

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/websocket/wstest"
)

const chatProtocol = "Sec-WebSocket-Protocol: chat"

// chats lists two scripts that must behave the same in a browser.
var chats = []string{"chat/chat.py", "chat/chat_async.py"}

// chatArgs returns the arguments of a chat: a new file for its messages.
func chatArgs(t *testing.T, script string) []string {
	if script != "chat/chat.py" {
		return nil
	}
	return []string{filepath.Join(t.TempDir(), "chat.db")}
}

func chatPath(room, name string) string {
	return "/ws?" + url.Values{"room": {room}, "name": {name}}.Encode()
}

func (s *server) enter(room, name string, people ...string) *webSocket {
	s.T.Helper()
	w := s.talk(chatPath(room, name), chatProtocol)
	fapwstest.Equal(s.T, w.Response.Header.Get("Sec-WebSocket-Protocol"), "chat")
	w.people(people...)
	return w
}

func (w *webSocket) people(names ...string) {
	w.t.Helper()
	w.await(strings.Join(names, ", "), func(m map[string]any) bool { return fmt.Sprint(m["people"]) == fmt.Sprint(names) })
}

// hears waits for a line of the chat, and returns the line's number.
func (w *webSocket) hears(name, text string) float64 {
	w.t.Helper()
	line := w.await(text, func(m map[string]any) bool { return m["text"] != nil })
	fapwstest.Truef(w.t, line["name"] == name && line["text"] == text, "%v, want %q of %s", line, text, name)
	number, _ := line["number"].(float64)
	return number
}

func TestChatSampleSendsMessagesToARoom(t *testing.T) {
	t.Parallel()
	for _, script := range chats {
		t.Run(script, func(t *testing.T) {
			s := start(t, script, chatArgs(t, script)...)
			s.get("/").want(200, "<title>Chat</title>").field("Content-Type", "text/html; charset=utf-8")
			for _, path := range []string{"/ws", "/ws?room=x", "/ws?name=x", chatPath("x", " "),
				chatPath("x", "a\nb\x00"), chatPath(strings.Repeat("x", 41), "x"), "/ws?room=%FF%00&name=x"} {
				status := s.denial(path)
				fapwstest.Truef(t, status >= 400 && status <= 403, "%s: status %d", path, status)
			}
			resp := s.get("/nothing/here")
			fapwstest.Truef(t, script != "chat/chat_async.py" || resp.StatusCode == 404, "status %d", resp.StatusCode)

			ann := s.enter("den", "Ann", "Ann")
			bob := s.enter("den", "Bob ☕", "Ann", "Bob ☕")
			ann.people("Ann", "Bob ☕")
			eve := s.enter("elsewhere", "Eve", "Eve")

			// Both members get each line unchanged and in order; the page escapes markup.
			var last float64
			for _, line := range []string{"Hello", "<b>ü\n\u2028</b> \U0001F600", strings.Repeat("x", 2000)} {
				ann.send(line)
				number := bob.hears("Ann", line)
				fapwstest.Truef(t, number > last && ann.hears("Ann", line) == number,
					"%.20q has number %v after %v", line, number, last)
				last = number
			}
			bob.send(" \n ") // an empty line is ignored
			bob.send(strings.Repeat("é", 3000) + "!")
			ann.hears("Bob ☕", strings.Repeat("é", 2000))
			bob.hears("Bob ☕", strings.Repeat("é", 2000))

			// A later member gets the stored messages; a member of a different room does not.
			kim := s.talk(chatPath("den", "Kim"))
			kim.hears("Ann", "Hello")
			kim.people("Ann", "Bob ☕", "Kim")
			eve.send("Nobody here?")
			eve.hears("Eve", "Nobody here?")

			kim.leave(1000)
			ann.people("Ann", "Bob ☕")
			bob.Conn.Close()
			ann.people("Ann")

			fapwstest.Must(t, ann.Send(wstest.Binary, []byte("bytes")))
			fapwstest.Equal(t, ann.closed(), 1003)
			ann = s.talk(chatPath("den", "Ann"), chatProtocol)
			ann.hears("Ann", "Hello")

			for i := range 101 {
				eve.send(fmt.Sprint(i))
				eve.hears("Eve", fmt.Sprint(i))
			}
			late := s.talk(chatPath("elsewhere", "late"), chatProtocol)
			for i := range 100 {
				late.hears("Eve", fmt.Sprint(i+1))
			}
		})
	}
}

func TestChatIsSharedByAllWorkers(t *testing.T) {
	t.Parallel()
	s := startServer(t, []string{"--workers", "2", "--ws-reload-grace", "30s"}, "chat/chat.py", chatArgs(t, "chat/chat.py"))
	var all []*webSocket
	for i := range 10 { // The kernel distributes the connections among the workers.
		all = append(all, s.talk(chatPath("den", fmt.Sprint("c", i)), chatProtocol))
	}
	for _, w := range all {
		w.people("c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9")
	}
	everyoneSays := func(text string) {
		t.Helper()
		for i, speaker := range all {
			speaker.send(fmt.Sprint(text, i))
			for _, w := range all {
				w.hears(fmt.Sprint("c", i), fmt.Sprint(text, i))
			}
		}
	}
	everyoneSays("line ")
	s.Reload()
	everyoneSays("again ") // The clients are still with the old code.
	all[0].leave(1000)
	late := s.talk(chatPath("den", "late"), chatProtocol)
	for _, said := range []string{"line ", "again "} {
		for i := range 10 {
			late.hears(fmt.Sprint("c", i), fmt.Sprint(said, i))
		}
	}
	late.people("c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9", "late")
}

// The test also checks that two members never have the same name, and that a file that cannot be created causes an
// error of one line.
func TestChatIsEmptyAfterItsFileIsDeleted(t *testing.T) {
	t.Parallel()
	file := chatArgs(t, "chat/chat.py")[0]
	s := startServer(t, []string{"--threads", "2"}, "chat/chat.py", []string{file})
	ann := s.enter("den", "Ann", "Ann")
	ann.send("before")
	ann.hears("Ann", "before")
	for _, end := range []string{"", "-wal", "-shm"} {
		fapwstest.Must(t, os.Remove(file+end))
	}
	var all []*webSocket
	for i := range 4 { // enough clients to use both threads
		w := s.talk(chatPath("den", fmt.Sprint("c", i)), chatProtocol)
		w.await("people", func(m map[string]any) bool { return m["people"] != nil })
		all = append(all, w)
	}
	for _, w := range append(all, ann) {
		w.send("after")
	}
	var names []string
	for range 5 {
		names = append(names,
			fmt.Sprint(ann.await("after", func(m map[string]any) bool { return m["text"] == "after" })["name"]))
	}
	slices.Sort(names)
	fapwstest.Equal(t, fmt.Sprint(names), "[Ann c0 c1 c2 c3]")
	code, _, said := fapwstest.Command{Flags: []string{"--bind", "127.0.0.1:0", "chat/chat.py"},
		Args: []string{t.TempDir() + "/none/chat.db"}}.Run(t)
	fapwstest.Truef(t, code != 0 && strings.Count(said, "\n") == 2 &&
		strings.Contains(said, "chat.db: unable to open database file"), "%d, %s", code, said)
}
