package live

import (
	"fmt"
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

func TestChannelNamesAreValidated(t *testing.T) {
	for list, want := range map[string]string{
		"news":                              "news",
		"a, b ,c\t,a":                       "a b c",
		"room/1.x_y~z:w@v-u":                "room/1.x_y~z:w@v-u",
		"0":                                 "0",
		strings.Repeat("n", 128):            strings.Repeat("n", 128),
		strings.Repeat("n", 129):            "error",
		"":                                  "error",
		"a,":                                "error",
		"a,,b":                              "error",
		"/a":                                "error",
		"-":                                 "error",
		"a b":                               "error",
		"a\r\nX: y":                         "error",
		"\x00":                              "error",
		"ä":                                 "error",
		"a;b":                               "error",
		"a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p":   "a b c d e f g h i j k l m n o p",
		"a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,a": "a b c d e f g h i j k l m n o p",
		"a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q": "error",
	} {
		names, err := ParseNames(list)
		got := strings.Join(names, " ")
		if err != nil {
			got = "error"
			checktest.Truef(t, !strings.ContainsAny(err.Error(), "\r\n"), "%q: an error of several lines: %v", list, err)
		}
		checktest.Equalf(t, got, want, "%q", list)
	}
}

func TestEventIDsAreParsed(t *testing.T) {
	for id, want := range map[string]string{
		"e-0": "0 true", "e-12": "12 true", "e-18446744073709551615": "18446744073709551615 true",
		"e-": "0 false", "e-01": "0 false", "e-+1": "0 false", "e--1": "0 false", "f-1": "0 false", "": "0 false",
		"e-1 ": "0 false", "e-18446744073709551616": "0 false", "e-1_0": "0 false",
	} {
		seq, ok := ParseID("e", id)
		checktest.Equalf(t, fmt.Sprint(seq, ok), want, "%q", id)
	}
}

type ear struct {
	id       int
	position Position
	give     func([]*Event)
}

func (e *ear) Position() *Position  { return &e.position }
func (e *ear) Give(events []*Event) { e.give(events) }

func newTestHub(limits ChannelLimits) *Hub {
	h := NewHub()
	h.Limit(limits)
	return h
}

func event(seq uint64, name string, size int) *Event {
	return NewEvent(&Message{Name: name, Data: strings.Repeat("x", size)}, seq, "e")
}

func numbers(events []*Event) string {
	var all []string
	for _, e := range events {
		all = append(all, fmt.Sprint(e.Seq))
	}
	return strings.Join(all, " ")
}

func TestHistoryKeepsTheNewestEventsOfAChannel(t *testing.T) {
	h := newTestHub(ChannelLimits{Events: 3, Bytes: 1000, Total: 1 << 20, Age: 100})
	for seq := uint64(1); seq <= 10; seq++ {
		h.Take(event(seq, [...]string{"a", "b"}[seq%2], 10), int64(seq))
	}
	checktest.Truef(t, !h.Take(event(10, "a", 1), 10) && !h.Take(event(9, "a", 1), 10), "an event was taken twice")
	check := func(what string, names []string, after uint64, want string) {
		t.Helper()
		checktest.Equalf(t, numbers(h.Since(names, after)), want, "%s", what)
	}
	both := []string{"a", "b"}
	check("both", both, 0, "5 6 7 8 9 10")
	check("one", []string{"b"}, 0, "5 7 9")
	check("after", both, 7, "8 9 10")
	check("all", both, 10, "")
	check("none", []string{"c"}, 0, "")
	h.Take(event(11, "a", 700), 11)
	check("bytes of one", []string{"a"}, 0, "8 10 11")
	h.Take(event(12, "a", 700), 12)
	checktest.Equalf(t, numbers(h.Replay(both, 0, 12)), "5 7 9 12", "replayed within the limits")
	check("bytes of one", []string{"a"}, 0, "12")
	h.Expire(107)
	check("age", both, 0, "7 9 12")

	h.Hold(1000)
	for seq := uint64(20); seq < 30; seq++ {
		h.Take(event(seq, "a", 10), 200)
	}
	h.Expire(900)
	check("held", both, 9, "12 20 21 22 23 24 25 26 27 28 29")
	for now, want := range map[int64]string{110: "27 28 29", 300: "27 28 29", 301: ""} {
		checktest.Equalf(t, numbers(h.Replay(both, 9, now)), want, "replayed at %d while held", now)
	}
	for _, seq := range []uint64{13, 20, 15, 14, 40} {
		h.Restore(event(seq, "b", 10), 900)
	}
	check("restored", both, 9, "12 13 14 15 20 20 21 22 23 24 25 26 27 28 29 40")
	checktest.Truef(t, h.Take(event(30, "a", 10), 900), "what was restored is no reason not to take what is before it")
	h.Expire(1000)
	check("no longer held", both, 0, "15 20 28 29 30 40")
	h.Expire(5000)
	check("expired", both, 0, "")
	checktest.Truef(t, h.bytes == 0 && len(h.rings) == 0 && h.all.Len() == 0,
		"%d bytes and %d rings are left over", h.bytes, len(h.rings))
}

func TestHistoryIsBoundedWithManyNames(t *testing.T) {
	const total = 1 << 20
	h := newTestHub(ChannelLimits{Events: 100, Bytes: 256 << 10, Total: total, Age: 1 << 60})
	for seq := uint64(1); seq <= 20000; seq++ {
		h.Take(event(seq, fmt.Sprint("n", seq), int(seq%50)), 1)
	}
	checktest.Truef(t, h.bytes <= total && h.bytes >= total/2 && len(h.rings) <= total/overhead,
		"%d bytes in %d rings", h.bytes, len(h.rings))
	checktest.Equal(t, numbers(h.Since([]string{"n20000"}, 0)), "20000")
}

func TestPositionIsFoundByEventID(t *testing.T) {
	h := newTestHub(ChannelLimits{Events: 10, Bytes: 1 << 20, Total: 1 << 20, Age: 1 << 60})
	for seq, id := range []string{"x", "y", "", "x", "e-2"} {
		h.Take(NewEvent(&Message{Name: "a", ID: id}, uint64(seq+1), "e"), 1)
	}
	for id, want := range map[string]uint64{"x": 4, "y": 2, "e-3": 3, "e-1": 1, "e-2": 5, "e-100": 100, "z": 0,
		"e-1048581": 1048581, "e-1048582": 0, "e-18446744073709551615": 0, "e-18446744073709551616": 0, "": 0,
		"f-3": 0} {
		checktest.Equalf(t, h.Position([]string{"a", "b"}, id, "e"), want, "%q", id)
	}
	// A new process restores the events of an earlier process, and then accepts their IDs.
	h = newTestHub(ChannelLimits{Events: 10, Bytes: 1 << 20, Total: 1 << 20, Age: 1 << 60})
	h.Restore(NewEvent(&Message{Name: "a"}, 5000000, "e"), 1)
	checktest.Equal(t, h.Position([]string{"b"}, "e-5000001", "e"), 5000001)
}

func TestEventsAreEncodedAndDecoded(t *testing.T) {
	events := []*Event{event(1, "a", 5), NewEvent(&Message{Name: "b", ID: "<ü>", Event: "t", Data: "x\r\ny"}, 7, "e")}
	text := Encode(events)
	got, err := Decode(text)
	checktest.Needf(t, err == nil && len(got) == 2, "%v, %d events", err, len(got))
	for i, e := range got {
		checktest.Truef(t, e.Seq == events[i].Seq && e.Name == events[i].Name && e.ID == events[i].ID &&
			string(e.Wire(1)) == string(events[i].Wire(1)), "got %+v, want %+v", e, events[i])
	}
	got, err = Decode(text[:len(text)-2])
	checktest.Truef(t, err != nil && len(got) == 1, "cut off: %v, %d events", err, len(got))
	for _, bad := range []string{"\n", "x\n", "{}\n", `{"Seq":1,"Name":"a b"}` + "\n", `{"Seq":-1,"Name":"a"}` + "\n"} {
		_, err := Decode([]byte(bad))
		checktest.Truef(t, err != nil, "%q was read", bad)
	}
}
