package live

import (
	"bufio"
	"fmt"
	"slices"
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

// FuzzJoin checks that valid channel names are safe in a header field, and that Since returns the right events in order
// for any Last-Event-ID.
func FuzzJoin(f *testing.F) {
	for _, seed := range [][2]string{{"a, c", ""}, {"c", "e-3"}, {"a", "e-18446744073709551615"}, {"room/1", "own"},
		{"a,,b", "e-"}, {"a\r\nb", "\xff"}, {strings.Repeat("a,", 20), "-"}} {
		f.Add(seed[0], seed[1])
	}
	h := NewHub()
	h.Limit(ChannelLimits{Events: 100, Bytes: 1 << 20, Total: 1 << 20, Age: 1 << 60})
	for seq := uint64(1); seq < 20; seq++ {
		id := ""
		if seq%5 == 0 {
			id = "own"
		}
		h.Take(NewEvent(&Message{Name: string('a' + rune(seq%3)), ID: id}, seq, "e"), 1)
	}
	f.Fuzz(func(t *testing.T, list, id string) {
		names, err := ParseNames(list)
		if err != nil {
			checktest.Needf(t, !strings.ContainsAny(err.Error(), "\r\n"), "%q: an error of several lines: %v", list, err)
			return
		}
		for _, name := range names {
			checktest.Needf(t, CheckChannelName(name) == nil && !strings.ContainsAny(name, ", \t\r\n"), "%q: %q", list, name)
		}
		again, err := ParseNames(strings.Join(names, ","))
		checktest.Needf(t, err == nil && strings.Join(again, ",") == strings.Join(names, ","),
			"%q: %q, then %q, %v", list, names, again, err)
		after := h.Position(names, id, "e")
		last := after
		for _, e := range h.Since(names, after) {
			checktest.Needf(t, e.Seq > last && slices.Contains(names, e.Name), "%q: %d of %s after %d", id, e.Seq, e.Name, last)
			last = e.Seq
		}
	})
}

// FuzzEvent checks that a client parses an event as HTML §9.2.6 says and gets the published values.
func FuzzEvent(f *testing.F) {
	for _, seed := range [][3]string{{"x", "", ""}, {"a\r\nb\r\rc\n", "tick", "7"}, {"", "", ""},
		{" lead", "message", "ü"}, {"data: x\n\nid: y", ":", ":"}} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, data, event, id string) {
		m := Message{Name: "n", Data: data, Event: event, ID: id}
		if err := m.Check(); err != nil {
			checktest.Needf(t, !strings.ContainsAny(err.Error(), "\r\n"), "an error of several lines: %v", err)
			return
		}
		e := NewEvent(&m, 5, "e")
		text := string(e.Text())
		checktest.Needf(t, string(e.Wire(0)) == text && string(e.Wire(1)) == fmt.Sprintf("%x\r\n%s\r\n",
			len(text), text), "%q is sent as %q", text, e.Wire(1))
		got := readEvents(string(e.Text()))
		if m.ID == "" {
			m.ID = "e-5"
		}
		m.Data = strings.ReplaceAll(strings.ReplaceAll(data, "\r\n", "\n"), "\r", "\n")
		m.Name = ""
		checktest.Needf(t, len(got) == 1 && got[0] == m, "%q is read as %q, want %q", e.Text(), got, m)
	})
}

func readEvents(text string) (events []Message) {
	var m Message
	var data []string
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if line == "" {
			if data != nil {
				m.Data = strings.Join(data, "\n")
				events = append(events, m)
			}
			m.Data, m.Event, data = "", "", nil
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "data":
			data = append(data, value)
		case "event":
			m.Event = value
		case "id":
			m.ID = value
		}
	}
	return events
}
