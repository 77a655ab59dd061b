package pybridge

// #include "shim.h"
// #include "shim_messages.h"
import "C"

import (
	"fmt"
	"hash/fnv"
	"io"
	"strconv"
	"strings"
	"unsafe"

	"fapws/runtime/exchange"

	python3 "github.com/go-python/cpy3"
)

// WebSockets are grouped by the event loop (runtime.Server.Broadcast). A group is named by a place and what the
// application calls it. The place of a fapws.WebSocket is the same in all processes; all ASGI applications share one.

// placeMounts gives each WebSocket a place that is the same in all processes, also when
// the code has been loaded again: its application as the configuration calls it, its
// prefix, what it calls back, and, where all of that is the same, its order, by seen. So
// what is another thing in newer code has another place, and is left alone. A WebSocket that is mounted twice has its first place.
func placeMounts(mounts []Mount, application string, seen map[string]int) {
	first := map[*python3.PyObject]string{}
	for i := range mounts {
		m := &mounts[i]
		if !kinds[m.Kind].callbacks {
			continue
		}
		if m.place = first[m.callable]; m.place != "" && m.callable != nil {
			continue
		}
		name := strings.Join([]string{application, m.Prefix, m.Name}, "\n")
		if seen[name]++; seen[name] > 1 {
			name += "\n" + strconv.Itoa(seen[name])
		}
		m.place = strings.ReplaceAll(name, "\x00", "")
		first[m.callable] = m.place
	}
}

// Group returns the group of all WebSockets of m, "": it has none.
func (m *Mount) Group() string {
	if m.place == "" {
		return ""
	}
	return groupAt(m.place, "")
}

func groupAt(place, name string) string { return place + "\x00" + name }

// Group returns the group that e is for, if it has a Place.
func (e *Event) Group() string { return groupAt(e.Place, e.Name) }

// IsGroup reports whether the name is that of a group, and not of a channel.
func IsGroup(name string) bool { return strings.Contains(name, "\x00") }

// GroupKey returns the short name by which CountSubscribers knows a group, as count_key of broadcast.c does.
func GroupKey(group string) string {
	key := fnv.New64a()
	_, _ = io.WriteString(key, group)
	return fmt.Sprintf("#%016x", key.Sum64())
}

// ForPython reports whether e is for the Python code of all processes (fapws._ipc), and for no client: see TakeMessage.
func (e *Event) ForPython() bool { return e.Place == C.FAPWS_PLACE_PYTHON }

// TakeMessage gives an event for the Python code to that of this process. It is safe for concurrent use.
func (h *Handler) TakeMessage(e *Event) {
	C.fapws_ipc_put(bytesOf(e.Name), C.size_t(len(e.Name)), bytesOf(e.Data), C.size_t(len(e.Data)))
}

// bytesOf returns where a text is, for a call that keeps nothing of it.
func bytesOf(text string) *C.char { return (*C.char)(unsafe.Pointer(unsafe.StringData(text))) }

// changeGroup is what ws.join and ws.leave have said, or fapws.groups; a socket is named by
// fapws_socket_number. On the loop.
func (h *Handler) changeGroup(socket uint64, name string, joins bool) {
	ticket, serial := uint32(socket), uint32(socket>>32)
	place := ""
	h.mu.Lock()
	if int(ticket) < len(h.records) {
		if rec := h.records[ticket]; rec != nil && uint32(rec.serial) == serial {
			if m := &h.app.mounts[rec.mount]; m.place != "" {
				place = m.place
			} else if m.Kind.WebSockets() {
				place = C.FAPWS_PLACE_ASGI
			}
		}
	}
	h.mu.Unlock()
	change := h.config.Leave
	if joins {
		change = h.config.Join
	}
	if place != "" && change != nil {
		change(exchange.Ticket(ticket), groupAt(place, name))
	}
}
